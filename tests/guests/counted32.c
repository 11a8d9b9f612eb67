// counted.c for the 32-bit entries of an x86_64 kernel: a child does exactly N getpid and N openat
// (of a file that is not there). By `int $0x80`; or, given a second argument, by the vDSO's
// __kernel_vsyscall (AT_SYSINFO), which is `sysenter` on Intel's CPUs and `syscall` on AMD's.
// No libc: gcc -m32 -static -nostdlib, so that no 32-bit packages are needed.
#include "counted_static.h"

enum { kExit = 1, kFork = 2, kWrite = 4, kWaitpid = 7, kGetpid = 20, kOpenat = 295 };
enum { kAtSysinfo = 32, kAtFdCwd = -100 };

typedef long (*Enter)(long number, long a, long b, long c);

static long by_int80(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

static void *vsyscall;

static long by_vsyscall(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("call *%5"
                   : "=a"(result)
                   : "a"(number), "b"(a), "c"(b), "d"(c), "m"(vsyscall)
                   : "memory");
  return result;
}

static void report(long pid, long count) {
  char line[kReportBytes];
  by_int80(kWrite, 1, (long)line, put_report(line, pid, count) - line);
}

// `stack` is as the kernel leaves it: argc, argv, 0, envp, 0, auxv.
__attribute__((used)) static void start(long *stack) {
  const long argc = stack[0];
  const long count = argc > 1 ? parse((const char *)stack[2]) : 1000;
  long *at = stack + argc + 2;
  while (*at) ++at;
  for (++at; at[0]; at += 2) {
    if (at[0] == kAtSysinfo) vsyscall = (void *)at[1];
  }
  const Enter enter = argc > 2 && vsyscall ? by_vsyscall : by_int80;

  // fork, wait, write and exit are always by int $0x80: the entry under test sees the counted calls
  // only.
  const long pid = by_int80(kFork, 0, 0, 0);
  if (pid == 0) {
    for (long i = 0; i < count; ++i) enter(kGetpid, 0, 0, 0);
    for (long i = 0; i < count; ++i) enter(kOpenat, kAtFdCwd, (long)"/nonexistent/swatd", 0);
    by_int80(kExit, 0, 0, 0);
  }
  by_int80(kWaitpid, pid, 0, 0);
  report(pid, count);
  by_int80(kExit, 0, 0, 0);
}

__asm__(
    ".globl _start\n_start:\n  mov %esp, %eax\n  and $-16, %esp\n  sub $12, %esp\n"
    "  push %eax\n  call start\n");
