// What the counted programs without a libc have in common: numbers out of and into text.
#pragma once

static long parse(const char *text) {
  long value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
  return value;
}

static char *put_text(char *at, const char *text) {
  while (*text) *at++ = *text++;
  return at;
}

static char *put_number(char *at, unsigned long value) {
  char digits[24];
  int n = 0;
  do digits[n++] = (char)('0' + value % 10);
  while (value /= 10);
  while (n) *at++ = digits[--n];
  return at;
}

enum { kReportBytes = 128 };

// What case.counted() in tests/e2e reads; its end.
static char *put_report(char *line, long pid, long count) {
  char *end = put_number(put_text(line, "COUNTED pid="), (unsigned long)pid);
  end = put_number(put_text(end, " getpid="), (unsigned long)count);
  end = put_number(put_text(end, " openat="), (unsigned long)count);
  *end++ = '\n';
  return end;
}
