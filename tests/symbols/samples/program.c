// A static program: no PT_DYNAMIC.
void _start(void) {
  for (;;) {
  }
}
