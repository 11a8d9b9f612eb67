// counted.c for AArch64 kernels of all ages: a child does exactly N getpid and N openat (of a file
// that is not there). No libc: aarch64-linux-gnu-gcc -static -nostdlib.
#include "aarch64_syscall.h"
#include "counted_static.h"

enum { kAtFdCwd = -100 };

// `stack` is as the kernel leaves it: argc, argv.
__attribute__((used)) static void start(const long *stack) {
  const long count = stack[0] > 1 ? parse((const char *)stack[2]) : 1000;
  const long pid = enter(kClone, kSigchld, 0, 0);
  if (pid == 0) {
    for (long i = 0; i < count; ++i) enter(kGetpid, 0, 0, 0);
    for (long i = 0; i < count; ++i) enter(kOpenat, kAtFdCwd, (long)"/nonexistent/swatd", 0);
    enter(kExit, 0, 0, 0);
  }
  enter(kWait4, pid, 0, 0);
  char line[kReportBytes];
  enter(kWrite, 1, (long)line, put_report(line, pid, count) - line);
  enter(kExit, 0, 0, 0);
}
