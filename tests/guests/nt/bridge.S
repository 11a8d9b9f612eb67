// How a 32-bit process gets into a 64-bit kernel: what wow64cpu.dll and wow64.dll do on Windows.
// At BRIDGE, in the process's own memory. TABLE has, by number of the 32-bit ntdll, 64-bit functions.
  .globl start, bridge
// Where 32-bit stubs jump: EAX has the number; the stack has the stub's return address, its
// caller's, and the arguments.
  .code32
bridge:
  ljmp $0x33, $native

  .code64
native:
  mov %esp, %r14d
  mov $STACK64, %esp
  mov %eax, %eax
  mov 8(%r14), %ecx
  mov 12(%r14), %edx
  mov 16(%r14), %r8d
  mov 20(%r14), %r9d
  call *table(, %rax, 8)
  // Back: far, to where the stub's call came from, and that address is off the stack.
  mov (%r14), %ecx
  mov %rcx, -12(%r14)
  movq $0x23, -4(%r14)
  lea -12(%r14), %rsp
  lretq

// The thread's first code.
start:
  mov $STACK32, %esp
  pushq $0x23
  pushq $ENTRY32
  lretq

  .data
  .balign 8
table:
#include "table.inc"
