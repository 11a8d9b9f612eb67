// A console for an AArch64 guest whose kernel has no driver for any: /init becomes a shell, and its
// child carries what that reads and writes from and to files of the host, by semihosting, which
// QEMU grants to user mode when it is told to (-semihosting-config
// enable=on,target=native,userspace=on).
// [Arm, "Semihosting for AArch32 and AArch64", SYS_OPEN, SYS_WRITE, SYS_READ]
//
// Arguments: the host's file that the shell's input is appended to, and that its output goes to.
// No libc: aarch64-linux-gnu-gcc -static -nostdlib.
#include "aarch64_syscall.h"

enum { kOpen = 1, kWriteFile = 5, kReadFile = 6 };  // semihosting operations
enum { kModeRead = 0, kModeWrite = 4 };             // fopen()'s "r" and "w"
enum { kPipeBytes = 512, kNonBlocking = 04000 };

// QEMU reads and writes pages that are present alone: none of these is only in the file yet.
static char buffer[kPipeBytes] = {1};

static long host(long operation, const long *block) {
  register long x0 __asm__("x0") = operation;
  register const long *x1 __asm__("x1") = block;
  __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
  return x0;
}

static long host_open(const char *path, long mode) {
  long length = 0;
  while (path[length]) ++length;
  const long block[] = {(long)path, mode, length};
  return host(kOpen, block);
}

// How many bytes there were; 0 at what is the file's end by now.
static long host_read(long file) {
  const long block[] = {file, (long)buffer, kPipeBytes};
  return kPipeBytes - host(kReadFile, block);
}

static void host_write(long file, long bytes) {
  const long block[] = {file, (long)buffer, bytes};
  host(kWriteFile, block);
}

static void become_shell(const int *from_host, const int *to_host) {
  static const char *const arguments[] = {"/bin/sh", 0};
  static const char *const environment[] = {"PATH=/bin", 0};
  enter(kDup3, from_host[0], 0, 0);
  enter(kDup3, to_host[1], 1, 0);
  enter(kDup3, to_host[1], 2, 0);
  enter(kExecve, (long)arguments[0], (long)arguments, (long)environment);
  enter(kExit, 1, 0, 0);
}

static void carry(long in, long out, const int *from_host, const int *to_host) {
  static const long kPause[] = {0, 10 * 1000 * 1000};
  for (;;) {
    const long typed = host_read(in);
    if (typed > 0) enter(kWrite, from_host[1], (long)buffer, typed);
    const long said = enter(kRead, to_host[0], (long)buffer, kPipeBytes);
    if (said > 0) host_write(out, said);
    if (typed <= 0 && said <= 0) enter(kNanosleep, (long)kPause, 0, 0);
  }
}

// `stack` is as the kernel leaves it: argc, argv.
__attribute__((used)) static void start(const long *stack) {
  const long in = host_open((const char *)stack[2], kModeRead);
  const long out = host_open((const char *)stack[3], kModeWrite);
  int from_host[2];
  int to_host[2];
  enter(kPipe2, (long)from_host, 0, 0);
  enter(kPipe2, (long)to_host, kNonBlocking, 0);
  if (enter(kClone, kSigchld, 0, 0) == 0) carry(in, out, from_host, to_host);
  become_shell(from_host, to_host);
}
