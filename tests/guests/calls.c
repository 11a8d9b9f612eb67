// Makes library calls as fast as it can, with hardly a system call between them, in a child that
// does nothing else, and says how many: ROUNDS of strlen, of malloc and of free, and one of
// getpid() in each EVERY rounds (100), each through the PLT. Usage: calls ROUNDS [EVERY] For what
// must keep up (tests/bench/execlog.py), and for counts that nothing but calls disturbs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile size_t sink;

static void child(long rounds, long every, const char *text) {
  for (long i = 0; i < rounds; ++i) {
    sink += strlen(text);
    void *const block = malloc(16 + i % 64);
    sink += (size_t)block;
    free(block);
    if (i % every == 0) sink += (size_t)getpid();
  }
  _exit(0);
}

int main(int argc, char **argv) {
  const long rounds = argc > 1 ? atol(argv[1]) : 10000;
  const long every = argc > 2 ? atol(argv[2]) : 100;
  if (every < 1) return 2;
  const pid_t pid = fork();
  if (pid < 0) return 1;
  if (pid == 0) child(rounds, every, argv[0]);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
  printf("COUNTED pid=%d strlen=%ld malloc=%ld free=%ld getpid=%ld\n", pid, rounds, rounds, rounds,
         (rounds + every - 1) / every);
  return 0;
}
