// A library of ten thousand functions that do nothing: for what many.c calls.
#include "many.h"

#define DEFINE(name) \
  void name(void) {}
EACH_OF_MANY(DEFINE)
