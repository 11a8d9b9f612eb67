// counted.c for statically linked programs: a child calls each of three functions exactly N times,
// one of its own that is global, one that is not, and one of the C library's.
// Each is in a page of its own: QEMU's execution log tells of calls from page to page.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_PAGE __attribute__((noinline, aligned(4096)))

static volatile long sink;

OWN_PAGE void global_function(long n) { sink += n; }

OWN_PAGE static void local_function(long n) { sink -= n; }

OWN_PAGE static void child(long count) {
  for (long i = 0; i < count; ++i) global_function(i);
  for (long i = 0; i < count; ++i) local_function(i);
  for (long i = 0; i < count; ++i) sink += getppid();
  _exit(0);
}

int main(int argc, char **argv) {
  const long count = argc > 1 ? atol(argv[1]) : 1000;
  const pid_t pid = fork();
  if (pid < 0) return 1;
  if (pid == 0) child(count);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
  printf("COUNTED pid=%d global_function=%ld local_function=%ld getppid=%ld\n", pid, count, count,
         count);
  return 0;
}
