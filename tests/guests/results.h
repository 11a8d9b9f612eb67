// What libresults.c exports.
#pragma once

long swat_sum(long n);     // of 0 to n, by calling itself
long swat_double(long n);  // 2n
long swat_tail(long n);    // 2(n + 1), by a tail call of swat_double
// Sum of what `visit` says of each text.
long swat_each(const char *const *texts, int count, long (*visit)(const char *text));
