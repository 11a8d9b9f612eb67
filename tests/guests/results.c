// Calls functions and says what each of them returned, so that a trace of returns can be checked to
// the last one: strlen of texts of all lengths, recursion, tail calls, a callback that leaves its
// caller by longjmp, calls in a signal's handler in the middle of a call, vfork and execve.
// Usage: results ROUNDS [THREADS], or results deep N: a recursion of that depth.
// Prints "RESULT tid function value" for each call, in the order in which a thread has made them;
// the value of a call that never returned is "unwound".
#define _GNU_SOURCE
#include "results.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct result {
  int tid;
  int is_known;
  const char *function;
  long value;
};

enum { MOST = 1 << 16, TEXT = 40 };
static struct result *results;  // shared with the child of vfork, and of fork
static int *count;
static char text[TEXT + 1];
static __thread int self;
static __thread jmp_buf out;
static __thread int visits_left;

static int begin(const char *function) {
  const int at = __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
  if (at >= MOST) _exit(1);
  results[at].tid = self;
  results[at].function = function;
  return at;
}

static void end(int at, long value) {
  results[at].value = value;
  results[at].is_known = 1;
}

static void length(long of) {
  const int at = begin("strlen");
  end(at, (long)strlen(text + TEXT - of));
}

static void sum(long n) {
  const int at = begin("swat_sum");
  for (long k = n - 1; k >= 0; --k) end(begin("swat_sum"), k * (k + 1) / 2);
  end(at, swat_sum(n));
}

static void tail(long n) {
  const int at = begin("swat_tail");
  const int jumped = begin("swat_double");
  const long value = swat_tail(n);
  end(at, value);
  end(jumped, value);
}

static long visit(const char *one) {
  const int at = begin("strlen");
  const long value = (long)strlen(one);
  end(at, value);
  if (visits_left-- == 0) longjmp(out, 1);
  return value;
}

// Leaves by longjmp at the visit of that number, counted from 0; or not, when there are fewer. From
// one place, so that the same word of the stack is used whatever became of the call before.
static void each(int leave_at) {
  static const char *const texts[] = {"", "one", "three"};
  const int at = begin("swat_each");
  visits_left = leave_at;
  if (setjmp(out) == 0) end(at, swat_each(texts, 3, visit));
}

static int compare(const void *a, const void *b) {
  if (visits_left-- == 0) longjmp(out, 1);
  return *(const char *)a - *(const char *)b;
}

static void sort_and_leave(void) {
  char letters[] = "sort these letters";
  begin("qsort");
  visits_left = 3;
  if (setjmp(out) == 0) qsort(letters, sizeof(letters) - 1, 1, compare);
}

static void on_signal(int signal) {
  (void)signal;
  length(7);
}

static void interrupt_oneself(void) {
  const int at = begin("raise");
  end(at, raise(SIGUSR1));
}

static void *rounds(void *argument) {
  const long many = *(long *)argument;
  self = (int)syscall(SYS_gettid);
  for (long i = 0; i < many; ++i) {
    length(i % TEXT);
    sum(i % 6);
    tail(i);
    each((int)(i % 5));
    length(i % 3);
  }
  sort_and_leave();
  interrupt_oneself();
  return NULL;
}

static void processes(void) {
  const int at = begin("vfork");
  const pid_t child = vfork();
  if (child == 0) {
    char *const arguments[] = {"true", NULL};
    execve("/bin/true", arguments, arguments + 1);
    _exit(1);
  }
  end(at, child);
  int status = 0;
  const int waited = begin("waitpid");
  end(waited, waitpid(child, &status, 0));
  const int forked = begin("fork");
  const pid_t other = fork();
  if (other == 0) {
    self = (int)syscall(SYS_gettid);
    length(11);
    _exit(0);
  }
  end(forked, other);
  const int gone = begin("waitpid");
  end(gone, waitpid(other, &status, 0));
}

static void print(void) {
  for (int i = 0; i < *count; ++i) {
    printf("RESULT %d %s ", results[i].tid, results[i].function);
    printf(results[i].is_known ? "%ld\n" : "unwound\n", results[i].value);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  results = mmap(NULL, MOST * sizeof(*results) + sizeof(*count), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (results == MAP_FAILED) return 1;
  count = (int *)(results + MOST);
  memset(text, 'x', TEXT);
  self = (int)syscall(SYS_gettid);
  if (signal(SIGUSR1, on_signal) == SIG_ERR) return 1;
  if (argc > 2 && strcmp(argv[1], "deep") == 0) {
    sum(atol(argv[2]));
    print();
    return 0;
  }
  long many = atol(argv[1]);
  const int threads = argc > 2 ? atoi(argv[2]) : 0;
  pthread_t others[16];
  if (threads > 16) return 2;
  for (int i = 0; i < threads; ++i) {
    if (pthread_create(&others[i], NULL, rounds, &many) != 0) return 1;
  }
  rounds(&many);
  for (int i = 0; i < threads; ++i) pthread_join(others[i], NULL);
  processes();
  print();
  return 0;
}
