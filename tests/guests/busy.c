// A guest that never rests: four cheap system calls a round, for ever, and a counter of rounds in
// a file that is mapped, so that counting makes no system call and a test can see progress.
// Usage: busy COUNTER-FILE [calls|sort|mix]
//   calls   one strlen through the PLT a round as well
//   sort    much to compute between the system calls, as programs have: four sorts by libc's qsort
//           a round, most of which are calls back and returns, and such QEMU looks up
//   mix     as much to compute in one loop, which neither calls nor returns
// The system calls are inline: a round without "calls" uses no import. Nice, so that the guest's
// shell answers at once.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
static long call0(long number) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
  return result;
}
#elif defined __i386__
static long call0(long number) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "memory");
  return result;
}
#elif defined __aarch64__
static long call0(long number) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0");
  __asm__ volatile("svc #0" : "=r"(x0) : "r"(x8) : "memory");
  return x0;
}
#elif defined __arm__
static long call0(long number) {
  register long r7 __asm__("r7") = number;
  register long r0 __asm__("r0");
  __asm__ volatile("svc #0" : "=r"(r0) : "r"(r7) : "memory");
  return r0;
}
#endif

static int compare(const void *a, const void *b) {
  const unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
  return x < y ? -1 : x > y;
}

static unsigned seed = 1;

static void sort_something(void) {
  static unsigned numbers[300];
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
    numbers[i] = seed = seed * 1103515245 + 12345;
  }
  qsort(numbers, sizeof numbers / sizeof *numbers, sizeof *numbers, compare);
}

static void mix_something(void) {
  static volatile unsigned mixed;
  unsigned value = seed;
  for (unsigned i = 0; i < 100000; ++i) value = (value ^ value >> 15) * 2654435761U;
  seed = mixed = value | 1;
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
  const int calls = argc > 2 && strcmp(argv[2], "calls") == 0;
  const int sorts = argc > 2 && strcmp(argv[2], "sort") == 0 ? 4 : 0;
  const int mix = argc > 2 && strcmp(argv[2], "mix") == 0;
  for (;;) {
    call0(SYS_getpid);
    call0(SYS_getppid);
    call0(SYS_getuid);
    call0(SYS_gettid);
    if (calls) sink += strlen(argv[1]);
    for (int i = 0; i < sorts; ++i) sort_something();
    if (mix) mix_something();
    ++*rounds;
  }
}
