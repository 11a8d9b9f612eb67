// A guest that never rests: four cheap system calls a round, for ever, and a counter of rounds in
// a file that is mapped, so that counting makes no system call and a test can see progress.
// Usage: busy COUNTER-FILE [calls]   ("calls": one strlen through the PLT a round as well)
// The system calls are inline: a round without "calls" uses no import. Nice, so that the guest's
// shell answers at once.
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call0(long number) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
  return result;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (nice(10) < 0) return 1;
  const int fd = open(argv[1], O_RDWR | O_CREAT, 0644);
  if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) != 0) return 1;
  volatile uint64_t *rounds =
      mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (rounds == MAP_FAILED) return 1;
  volatile size_t sink = 0;
  for (;;) {
    call0(SYS_getpid);
    call0(SYS_getppid);
    call0(SYS_getuid);
    call0(SYS_gettid);
    if (argc > 2) sink += strlen(argv[1]);
    ++*rounds;
  }
}
