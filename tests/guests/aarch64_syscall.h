// System calls and the start of programs without a libc, for AArch64.
// [syscall(2); include/uapi/asm-generic/unistd.h]
#pragma once

enum {
  kDup3 = 24,
  kOpenat = 56,
  kPipe2 = 59,
  kRead = 63,
  kWrite = 64,
  kExit = 93,
  kNanosleep = 101,
  kGetpid = 172,
  kClone = 220,
  kExecve = 221,
  kWait4 = 260,
};
enum { kSigchld = 17 };  // clone() with this alone is fork()

static long enter(long number, long a, long b, long c) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = 0;
  register long x4 __asm__("x4") = 0;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}

// The program's start(), with the stack as the kernel leaves it.
__asm__(".globl _start\n_start:\n  mov x0, sp\n  bl start\n");
