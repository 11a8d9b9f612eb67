// counted.c for 32-bit ARM kernels old and new: a child does exactly N getpid and N openat (of a
// file that is not there), by EABI in ARM code; or, given a second argument, "thumb" or "oabi" (the
// number in the instruction, as before EABI), by that.
// No libc: gcc -march=armv5te -marm -mfloat-abi=soft -static -nostdlib.

enum { kExit = 1, kFork = 2, kWrite = 4, kGetpid = 20, kWait4 = 114, kOpenat = 322 };
enum { kAtFdCwd = -100 };

static long by_eabi(long number, long a, long b, long c) {
  register long r7 __asm__("r7") = number;
  register long r0 __asm__("r0") = a;
  register long r1 __asm__("r1") = b;
  register long r2 __asm__("r2") = c;
  register long r3 __asm__("r3") = 0;
  __asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2), "r"(r3) : "memory");
  return r0;
}

// Leaves the number in r0 to the caller: r0 to r2 are the arguments, r3 is the number.
long by_thumb(long a, long b, long c, long number);
long getpid_by_oabi(void);
long openat_by_oabi(long a, long b, long c);
__asm__(
    ".thumb\n.thumb_func\n.type by_thumb, %function\nby_thumb:\n"
    "  push {r7, lr}\n  mov r7, r3\n  svc 0\n  pop {r7, pc}\n"
    ".arm\n.type getpid_by_oabi, %function\ngetpid_by_oabi:\n  swi 0x900014\n  bx lr\n"
    ".type openat_by_oabi, %function\nopenat_by_oabi:\n  swi 0x900142\n  bx lr\n");

static long parse(const char *text) {
  long value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
  return value;
}

static char *put_text(char *at, const char *text) {
  while (*text) *at++ = *text++;
  return at;
}

// Without a division, which v5 has no instruction for.
static char *put_number(char *at, unsigned long value) {
  int is_leading = 1;
  for (unsigned long unit = 1000000000; unit != 0;) {
    char digit = '0';
    while (value >= unit) {
      value -= unit;
      ++digit;
    }
    is_leading = is_leading && digit == '0' && unit != 1;
    if (!is_leading) *at++ = digit;
    static const unsigned long units[] = {1000000000, 100000000, 10000000, 1000000, 100000, 10000,
                                          1000,       100,       10,       1,       0};
    int i = 0;
    while (units[i] != unit) ++i;
    unit = units[i + 1];
  }
  return at;
}

static void report(long pid, long count) {
  char line[96];
  char *end = put_text(line, "COUNTED pid=");
  end = put_number(end, (unsigned long)pid);
  end = put_number(put_text(end, " getpid="), (unsigned long)count);
  end = put_number(put_text(end, " openat="), (unsigned long)count);
  *end++ = '\n';
  by_eabi(kWrite, 1, (long)line, end - line);
}

// `stack` is as the kernel leaves it: argc, argv.
__attribute__((used)) static void start(const long *stack) {
  const char how = stack[0] > 2 ? *(const char *)stack[3] : 'e';
  const long count = stack[0] > 1 ? parse((const char *)stack[2]) : 1000;
  const long path = (long)"/nonexistent/swatd";
  const long pid = by_eabi(kFork, 0, 0, 0);
  if (pid == 0) {
    for (long i = 0; i < count; ++i) {
      if (how == 'o') getpid_by_oabi();
      if (how == 't') by_thumb(0, 0, 0, kGetpid);
      if (how == 'e') by_eabi(kGetpid, 0, 0, 0);
    }
    for (long i = 0; i < count; ++i) {
      if (how == 'o') openat_by_oabi(kAtFdCwd, path, 0);
      if (how == 't') by_thumb(kAtFdCwd, path, 0, kOpenat);
      if (how == 'e') by_eabi(kOpenat, kAtFdCwd, path, 0);
    }
    by_eabi(kExit, 0, 0, 0);
  }
  by_eabi(kWait4, pid, 0, 0);
  report(pid, count);
  by_eabi(kExit, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n  mov r0, sp\n  bic sp, sp, #7\n  bl start\n");
