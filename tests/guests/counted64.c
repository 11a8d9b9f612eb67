// counted.c for x86_64 kernels of all ages, and for x32: a child does exactly N getpid and N openat
// (of a file that is not there) by `syscall`. Given a second argument, by numbers of the x32 ABI,
// which kernels with syscall.x32=y take from 64-bit code as well. No libc: gcc -static -nostdlib,
// so that kernels run it that are too old for any libc there is.
#include "counted_static.h"

enum { kWrite = 1, kGetpid = 39, kFork = 57, kExit = 60, kWait4 = 61, kOpenat = 257 };
enum { kX32Bit = 0x40000000, kAtFdCwd = -100 };

static long enter(long number, long a, long b, long c) {
  register long d __asm__("r10") = 0;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(d)
                   : "rcx", "r11", "memory");
  return result;
}

// `stack` is as the kernel leaves it: argc, argv.
__attribute__((used)) static void start(const long *stack) {
  const long argc = stack[0];
  const long count = argc > 1 ? parse((const char *)stack[2]) : 1000;
  const long bits = argc > 2 ? kX32Bit : 0;

  // fork, wait, write and exit are 64-bit ones always: every kernel has those.
  const long pid = enter(kFork, 0, 0, 0);
  if (pid == 0) {
    for (long i = 0; i < count; ++i) enter(kGetpid | bits, 0, 0, 0);
    for (long i = 0; i < count; ++i) enter(kOpenat | bits, kAtFdCwd, (long)"/nonexistent/swatd", 0);
    enter(kExit, 0, 0, 0);
  }
  enter(kWait4, pid, 0, 0);
  char line[kReportBytes];
  enter(kWrite, 1, (long)line, put_report(line, pid, count) - line);
  enter(kExit, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call start\n");
