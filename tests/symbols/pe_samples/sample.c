/* A library with every kind of export and import that libwine's have not: by ordinal, delayed,
 * data. */
__declspec(dllimport) int provided(int);
__declspec(dllimport) int provided_by_ordinal(int);
__declspec(dllimport) int provided_late(int);

int exported_datum = 7;
int exported(int n) {
  return provided(n) + provided_by_ordinal(n) + provided_late(n) + exported_datum;
}
int by_ordinal(int n) { return n; }
int twice(int n) { return n * 2; }

/* The linker wants what binds delayed imports; nobody calls it here. */
void* __stdcall __delayLoadHelper2(void* descriptor, void* slot) {
  (void)slot;
  return descriptor;
}
