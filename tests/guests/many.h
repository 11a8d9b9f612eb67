// Names of ten thousand functions, many_0000 to many_9999: EACH(X) is X(many_0000) X(many_0001) ...
#pragma once

// Never two runs of clang-format agree on these.
// clang-format off

#define TEN_OF_MANY(X, n) \
  X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
#define HUNDRED_OF_MANY(X, n)                                                         \
  TEN_OF_MANY(X, n##0)                                                                \
  TEN_OF_MANY(X, n##1)                                                                \
  TEN_OF_MANY(X, n##2) TEN_OF_MANY(X, n##3) TEN_OF_MANY(X, n##4) TEN_OF_MANY(X, n##5) \
      TEN_OF_MANY(X, n##6) TEN_OF_MANY(X, n##7) TEN_OF_MANY(X, n##8) TEN_OF_MANY(X, n##9)
#define THOUSAND_OF_MANY(X, n)                                                   \
  HUNDRED_OF_MANY(X, n##0)                                                       \
  HUNDRED_OF_MANY(X, n##1)                                                       \
  HUNDRED_OF_MANY(X, n##2) HUNDRED_OF_MANY(X, n##3) HUNDRED_OF_MANY(X, n##4)     \
      HUNDRED_OF_MANY(X, n##5) HUNDRED_OF_MANY(X, n##6) HUNDRED_OF_MANY(X, n##7) \
          HUNDRED_OF_MANY(X, n##8) HUNDRED_OF_MANY(X, n##9)
#define EACH_OF_MANY(X)                                                                   \
  THOUSAND_OF_MANY(X, many_0)                                                             \
  THOUSAND_OF_MANY(X, many_1)                                                             \
  THOUSAND_OF_MANY(X, many_2) THOUSAND_OF_MANY(X, many_3) THOUSAND_OF_MANY(X, many_4)     \
      THOUSAND_OF_MANY(X, many_5) THOUSAND_OF_MANY(X, many_6) THOUSAND_OF_MANY(X, many_7) \
          THOUSAND_OF_MANY(X, many_8) THOUSAND_OF_MANY(X, many_9)
