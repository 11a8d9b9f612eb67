// What the compiler may call for.
void* memset(void* to, int value, unsigned long size);
void* memcpy(void* to, const void* from, unsigned long size);

void* memset(void* to, int value, unsigned long size) {
  void* at = to;
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
  return to;
}

void* memcpy(void* to, const void* from, unsigned long size) {
  void* at = to;
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}
