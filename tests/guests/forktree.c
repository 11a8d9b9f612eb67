// Processes that come and go as fast as they can: a round forks a child that exits at once, one
// that executes this program again, and one that does so after vfork.
// Usage: forktree ROUNDS   (0: for ever); "forktree leaf" exits at once.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(pid_t pid) {
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) _exit(1);
}

static void round_of_processes(char *self) {
  char *leaf[] = {self, "leaf", NULL};

  pid_t pid = fork();
  if (pid == 0) _exit(0);
  reap(pid);

  pid = fork();
  if (pid == 0) {
    execv(self, leaf);
    _exit(1);
  }
  reap(pid);

  pid = vfork();
  if (pid == 0) {
    execv(self, leaf);
    _exit(1);
  }
  reap(pid);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "leaf") == 0) return 0;
  const long rounds = argc > 1 ? atol(argv[1]) : 1;
  char self[4096] = "";  // argv[0] may be without its folder
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 1;
  for (long i = 0; rounds == 0 || i < rounds; ++i) round_of_processes(self);
  printf("FORKTREE rounds=%ld processes=%ld execs=%ld\n", rounds, 3 * rounds, 2 * rounds);
  return 0;
}
