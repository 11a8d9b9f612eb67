// A static program: no PT_DYNAMIC, and every kind of function in .symtab.
int visible(int n) { return n + 1; }
extern __typeof(visible) also_visible __attribute__((alias("visible")));

static __attribute__((noinline, used)) int hidden(int n) { return n * 3; }

static int (*pick(void))(int) { return hidden; }
int chosen(int n) __attribute__((ifunc("pick")));

const int no_function = 5;

// No .type: and the marks of code and data that ARM's assemblers put in are no functions either.
__asm__(".globl in_assembly\n.balign 4\nin_assembly: .long 0\nlocal_in_assembly: .long 0\n");

void _start(void) {
  for (;;) {
    visible(chosen(1));
  }
}
