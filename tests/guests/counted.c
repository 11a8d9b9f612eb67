// Does exactly N of each of four things in a child that does nothing else, so that a trace of it
// can be checked to the last event:
//   N system calls getpid, N system calls openat (of a file that is not there),
//   N calls of strlen and N calls of malloc through the PLT.
// The child uses no stdio and leaves by _exit: neither fork nor _exit make any of these calls
// themselves. The parent prints what the child did.
// Built three times: lazy binding (the first call of each goes through the resolver), -z now, and
// -fno-plt (call *slot). -fno-builtin keeps the compiler from folding strlen and malloc away.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile size_t sink;

static void child(long count, const char *text) {
  for (long i = 0; i < count; ++i) syscall(SYS_getpid);
  for (long i = 0; i < count; ++i) syscall(SYS_openat, AT_FDCWD, "/nonexistent/swatd", O_RDONLY);
  for (long i = 0; i < count; ++i) sink += strlen(text);
  for (long i = 0; i < count; ++i) sink += (size_t)malloc(16);
  _exit(0);
}

int main(int argc, char **argv) {
  const long count = argc > 1 ? atol(argv[1]) : 1000;
  const pid_t pid = fork();
  if (pid < 0) return 1;
  if (pid == 0) child(count, argv[0]);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
  printf("COUNTED pid=%d getpid=%ld openat=%ld strlen=%ld malloc=%ld\n", pid, count, count, count,
         count);
  return 0;
}
