// Every way in which a system call may end, once each and the same every time: results and errors,
// signals that meet a call (with and without SA_RESTART, without a handler), fork, vfork and clone
// in parent and child, execve that fails and that succeeds, threads that end, and calls in which a
// thread is killed. What each returned is not for this program to say: strace does.
// Usage: endings
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int pipe_ends[2];

static void nothing(int signal) { (void)signal; }

static void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  if (sigaction(signal, &action, NULL) != 0) _exit(1);
}

// Late enough for the caller to be blocked by then, however slowly it is traced; and again, so that
// nothing blocks for ever when it was not.
static void alarms(long milliseconds) {
  const struct timeval every = {.tv_usec = milliseconds * 1000};
  const struct itimerval timer = {.it_value = every, .it_interval = every};
  if (setitimer(ITIMER_REAL, &timer, NULL) != 0) _exit(1);
}

// One byte, and no more, however often it is called before the timer is off.
static void write_to_pipe(int signal) {
  static volatile sig_atomic_t is_written;
  (void)signal;
  alarms(0);
  if (is_written) return;
  is_written = 1;
  if (write(pipe_ends[1], "x", 1) != 1) _exit(1);
}

static void results_and_errors(void) {
  char byte;
  syscall(SYS_read, 77, &byte, 1);                                // EBADF
  syscall(SYS_openat, AT_FDCWD, "/nonexistent/swatd", O_RDONLY);  // ENOENT
  syscall(SYS_uname, 8);                                          // EFAULT
  syscall(9999);                                                  // ENOSYS
  void *const page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page, 4096);
  syscall(SYS_gettid);
}

static void signals(void) {
  char byte;
  // EINTR for the caller, ERESTARTSYS for a tracer.
  handle(SIGALRM, nothing, 0);
  alarms(400);
  if (read(pipe_ends[0], &byte, 1) != -1 || errno != EINTR) _exit(1);
  alarms(0);
  // Once more, from the start, when the handler has returned.
  handle(SIGALRM, write_to_pipe, SA_RESTART);
  alarms(400);
  if (read(pipe_ends[0], &byte, 1) != 1) _exit(1);
  // ERESTART_RESTARTBLOCK and ERESTARTNOHAND.
  handle(SIGALRM, nothing, SA_RESTART);
  alarms(400);
  const struct timespec second = {.tv_sec = 2};
  if (nanosleep(&second, NULL) != -1) _exit(1);
  alarms(400);
  pause();
  alarms(0);
  // The call is done when the signal comes: results that the handler's frame must not hide.
  handle(SIGUSR1, nothing, 0);
  handle(SIGPIPE, nothing, 0);
  kill(getpid(), SIGUSR1);
  int broken[2];
  if (pipe(broken) != 0) _exit(1);
  close(broken[0]);
  if (write(broken[1], "hello", 5) != -1 || errno != EPIPE) _exit(1);
}

// Stopped and continued without a handler: restart_syscall.
static void stopped_sleeper(void) {
  const pid_t child = fork();
  if (child == 0) {
    const struct timespec sleep = {.tv_nsec = 600000000};
    _exit(nanosleep(&sleep, NULL));
  }
  const struct timespec moment = {.tv_nsec = 200000000};
  nanosleep(&moment, NULL);
  kill(child, SIGSTOP);
  nanosleep(&moment, NULL);
  kill(child, SIGCONT);
  waitpid(child, NULL, 0);
}

static void processes(void) {
  pid_t child = vfork();
  if (child == 0) {
    char *const arguments[] = {"true", NULL};
    char *const environment[] = {NULL};
    syscall(SYS_execve, "/nonexistent/true", arguments, environment);
    syscall(SYS_execve, "/bin/true", arguments, environment);
    _exit(1);
  }
  waitpid(child, NULL, 0);
  child = fork();  // killed in a call
  if (child == 0) {
    pause();
    _exit(1);
  }
  const struct timespec moment = {.tv_nsec = 200000000};
  nanosleep(&moment, NULL);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static void *short_lived(void *argument) {
  syscall(SYS_gettid);
  return argument;
}

static void *blocked(void *argument) {
  char byte;
  if (read(pipe_ends[0], &byte, 1) >= 0) _exit(1);
  return argument;
}

int main(void) {
  if (pipe(pipe_ends) != 0) return 1;
  results_and_errors();
  signals();
  stopped_sleeper();
  processes();
  pthread_t thread;
  if (pthread_create(&thread, NULL, short_lived, NULL) != 0) return 1;
  pthread_join(thread, NULL);
  if (pthread_create(&thread, NULL, blocked, NULL) != 0) return 1;
  // Where a traced call costs a flush of QEMU's translations, the other thread needs so long to be
  // in its own.
  const struct timespec second = {.tv_sec = 1};
  nanosleep(&second, NULL);
  _exit(0);  // and the other thread with it
}
