// Functions for results.c that call each other, and themselves, through the PLT of this library.
#include "results.h"

// The compiler calls a function that it knows to be this one directly.
extern long through_plt(long n) __asm__("swat_sum");

long swat_sum(long n) { return n == 0 ? 0 : n + through_plt(n - 1); }

long swat_double(long n) { return 2 * n; }

// A jump to swat_double, which returns for both. [GCC manual, -foptimize-sibling-calls]
__attribute__((optimize("optimize-sibling-calls"))) long swat_tail(long n) {
  return swat_double(n + 1);
}

long swat_each(const char *const *texts, int count, long (*visit)(const char *text)) {
  long sum = 0;
  for (int i = 0; i < count; ++i) sum += visit(texts[i]);
  return sum;
}
