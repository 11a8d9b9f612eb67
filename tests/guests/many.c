// Calls one of ten thousand imported functions, through the PLT, for ever, and counts its rounds in
// a file that is mapped, as busy.c does.
// Usage: many COUNTER-FILE
#include "many.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define DECLARE(name) void name(void);
EACH_OF_MANY(DECLARE)

// Never called: it makes the program import them all.
static void call_all(void) {
#define CALL(name) name();
  EACH_OF_MANY(CALL)
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (argc > 100) call_all();
  if (nice(10) < 0) return 1;
  const int fd = open(argv[1], O_RDWR | O_CREAT, 0644);
  if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) != 0) return 1;
  volatile uint64_t *rounds =
      mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (rounds == MAP_FAILED) return 1;
  for (;;) {
    many_0000();
    ++*rounds;
  }
}
