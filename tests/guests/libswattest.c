// A library for dlopener.c: one export with an import of its own, one without.
#include <string.h>

size_t swat_test_length(const char *text) { return strlen(text); }

int swat_test_add(int a, int b) { return a + b; }
