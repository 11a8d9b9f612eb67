/* What runs in a dumped guest besides a shell: no libc, x86_64 or i386. argv[1] says what to do:
   sleep, spin (user mode only), call (system calls only), threads (two of them, and mappings of
   every kind). It is its own test subject: dump_guest copies it to mounts and unlinks it. */
#if defined(__x86_64__)
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
enum { kPause = 34, kGetppid = 110, kMmap = 9, kClone = 56, kPrctl = 157, kOpen = 2, kBrk = 12 };
#else
static long call6(long n, long a, long b, long c, long d, long e, long f) {
  long result;
  (void)e;
  (void)f;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
  return result;
}
enum { kPause = 29, kGetppid = 64, kMmap = 0, kClone = 0, kPrctl = 172, kOpen = 5, kBrk = 45 };
#endif

static int same(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

static void sleep_for_ever(void) {
  for (;;) call6(kPause, 0, 0, 0, 0, 0, 0);
}

#if defined(__x86_64__)
static char stack[16384] __attribute__((aligned(16)));

/* The new thread finds its own stack empty: it must not return. */
static void start_thread(void) {
  const long flags =
      0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000; /* VM FS FILES SIGHAND THREAD SYSVSEM */
  long result;
  register long r10 __asm__("r10") = 0;
  register long r8 __asm__("r8") = 0;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 2f\n\t"
      "mov $157, %%eax\n\tmov $15, %%edi\n\tmov %5, %%rsi\n\tsyscall\n\t" /* PR_SET_NAME */
      "1: mov $34, %%eax\n\tsyscall\n\tjmp 1b\n\t"
      "2:"
      : "=a"(result)
      : "a"((long)kClone), "D"(flags), "S"(stack + sizeof(stack)), "d"(0L), "r"("second-thread"),
        "r"(r10), "r"(r8)
      : "rcx", "r11", "memory");
}

static void map_all_kinds(const char* self) {
  const long file = call6(kOpen, (long)self, 0, 0, 0, 0, 0);
  call6(kMmap, 0, 4096, 1, 2, file, 4096); /* a file's second page, private, read only */
  call6(kMmap, 0, 4096, 1, 1, file, 0);    /* shared */
  call6(kMmap, 0, 8192, 0, 0x22, -1, 0);   /* PROT_NONE */
  call6(kMmap, 0, 8192, 3, 0x21, -1, 0);   /* /dev/zero (deleted) */
  call6(kMmap, 0, 8192, 7, 0x22, -1, 0);   /* rwx */
  const long end = call6(kBrk, 0, 0, 0, 0, 0, 0);
  call6(kBrk, end + 20000, 0, 0, 0, 0, 0);
  for (int i = 0; i < 60; ++i) call6(kMmap, 0, 4096, i % 2 ? 1 : 3, 0x22, -1, 0); /* many nodes */
}
#else
static void start_thread(void) {}
static void map_all_kinds(const char* self) { (void)self; }
#endif

void run(long* sp) {
  char** argv = (char**)(sp + 1);
  const char* what = sp[0] > 1 ? argv[1] : "sleep";
  if (same(what, "spin")) {
    for (volatile unsigned long i = 0;; ++i) {
    }
  }
  if (same(what, "call")) {
    for (;;) call6(kGetppid, 0, 0, 0, 0, 0, 0);
  }
  if (same(what, "threads")) {
    map_all_kinds(argv[0]);
    start_thread();
  }
  sleep_for_ever();
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
#else
__asm__(
    ".globl _start\n_start: mov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall "
    "run\n");
#endif
