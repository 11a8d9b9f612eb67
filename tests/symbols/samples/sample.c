// One of each kind of dynamic symbol and import, for every architecture (elf_cross_test.cpp).
extern int provided(int);
extern int provided_object;
extern int untyped_function(int);                           // defined nowhere at link time
extern int untyped_object;                                  // the same
__attribute__((weak)) extern void untyped_weak_hook(void);  // as __gmon_start__

static int chosen_variant(int x) { return x; }
static void *choose(void) { return (void *)chosen_variant; }
__attribute__((ifunc("choose"))) int chosen(int);
__attribute__((weak, alias("chosen"))) int chosen_too(int);

int object = 7;
_Thread_local int thread_local_object = 1;
#if !(defined(__x86_64__) && defined(__ILP32__))  // lld has no pointers in x32 libraries
int *table[] = {&object, &object};
#endif

__asm__(
    ".text\n.globl untyped_label\nuntyped_label: .long 0\n"
    ".data\n.globl untyped_datum\nuntyped_datum: .long 0\n");

int old_versioned(int x) { return x; }
int new_versioned(int x) { return x + 1; }
__asm__(".symver old_versioned, versioned@V1\n.symver new_versioned, versioned@@V2");

int (*provided_address(void))(int) { return provided; }
int *untyped_object_address(void) { return &untyped_object; }
int exported(int x) {
  if (untyped_weak_hook) untyped_weak_hook();
  return provided(x) + provided_object + untyped_function(x) + chosen(x) + thread_local_object;
}
__attribute__((weak)) int weakly_exported(int x) { return x; }
static int hidden(int x) { return x; }
int (*hidden_address(void))(int) { return hidden; }
