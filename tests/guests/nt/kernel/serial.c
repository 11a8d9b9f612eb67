#include "serial.h"

#include "ports.h"

enum { kPort = 0x3f8, kLineStatus = 5, kReceived = 1, kEmpty = 0x20 };

void serial_start(void) {
  out(kPort + 1, 0);  // no interrupts: it is polled
  out(kPort + 3, 3);  // 8 bits
  out(kPort + 2, 1);  // FIFO
}

void print(const char* text) {
  for (; *text; ++text) {
    while (!(in(kPort + kLineStatus) & kEmpty)) {
    }
    out(kPort, (u8)*text);
  }
}

void print_number(u64 number, unsigned base) {
  char digits[24];
  char* at = digits + sizeof(digits) - 1;
  u32 high = (u32)(number >> 32);
  u32 low = (u32)number;
  *at = 0;
  do {  // long division: there is no library for 64 bits on a 32-bit processor
    u32 rest = high % base;
    high /= base;
    __asm__("divl %4" : "=a"(low), "=d"(rest) : "0"(low), "1"(rest), "r"(base));
    *--at = "0123456789abcdef"[rest];
  } while (high || low);
  print(at);
}

int serial_read(void) { return in(kPort + kLineStatus) & kReceived ? in(kPort) : -1; }
