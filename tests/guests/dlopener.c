// Maps and unmaps while it runs: dlopen, a call through dlsym, dlclose, and plain mmap and munmap
// of the same file, ROUNDS times; then prints where the library was last.
// Usage: dlopener LIBRARY ROUNDS [stay|drop]   ("stay": ends with the library loaded, and waits;
// "drop": and has none of its code and of what is before that in its page tables, until SIGUSR1
// lets it call the library ROUNDS times more)
#define _GNU_SOURCE  // dladdr
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef size_t (*Length)(const char *);

// Returns the library's handle; its function and its address through `into` and `base`.
static void *load_and_call(const char *path, Length *into, void **base) {
  void *handle = dlopen(path, RTLD_NOW);
  if (!handle) exit(1);
  const Length length = *into = (Length)dlsym(handle, "swat_test_length");
  if (!length || length("four") != 4) exit(1);
  Dl_info info;
  if (!dladdr((void *)length, &info)) exit(1);
  *base = info.dli_fbase;
  return handle;
}

static void map_and_unmap(const char *path) {
  const int fd = open(path, O_RDONLY);
  if (fd < 0) exit(1);
  void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  if (at == MAP_FAILED || munmap(at, 4096) != 0) exit(1);
  close(fd);
}

// The kernel keeps them. Not those behind the code: ld.so has written to some.
static void drop_pages(const char *path) {
  FILE *maps = fopen("/proc/self/maps", "r");
  if (!maps) exit(1);
  char line[512];
  int dropped_code = 0;
  while (!dropped_code && fgets(line, sizeof line, maps)) {
    unsigned long start, end;
    char rights[5];
    if (!strstr(line, path) || sscanf(line, "%lx-%lx %4s", &start, &end, rights) != 3) continue;
    if (madvise((void *)start, end - start, MADV_DONTNEED) != 0) exit(1);
    dropped_code = rights[2] == 'x';
  }
  fclose(maps);
}

static void wake(int signal) { (void)signal; }

// SIGUSR1 waits from now on until the mask is `awake`.
static void hold_wake(sigset_t *awake) {
  sigset_t held;
  signal(SIGUSR1, wake);
  sigemptyset(&held);
  sigaddset(&held, SIGUSR1);
  sigprocmask(SIG_BLOCK, &held, awake);
}

static void call_again(Length length, long rounds) {
  size_t sum = 0;
  for (long i = 0; i < rounds; ++i) sum += length("four");
  printf("AGAIN calls=%zu\n", sum / 4);
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const long rounds = atol(argv[2]);
  const int stay = argc > 3;
  Length length = NULL;
  void *base = NULL;
  for (long i = 0; i < rounds; ++i) {
    void *handle = load_and_call(argv[1], &length, &base);
    map_and_unmap(argv[1]);
    if (stay && i + 1 == rounds) break;
    dlclose(handle);
  }
  const int drop = stay && strcmp(argv[3], "drop") == 0;
  sigset_t awake;
  if (drop) {
    hold_wake(&awake);
    drop_pages(strrchr(argv[1], '/'));
  }
  printf("DLOPENER pid=%d rounds=%ld base=%p\n", getpid(), rounds, base);
  fflush(stdout);
  if (drop) {
    sigsuspend(&awake);
    call_again(length, rounds);
  }
  if (stay) pause();
  return 0;
}
