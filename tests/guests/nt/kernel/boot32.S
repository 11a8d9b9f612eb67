// The first code of a 32-bit guest: from where QEMU's multiboot loader, or the other processor's
// start, leaves the processor, to start() with page tables on.
#include "boot.inc"

paging_on:
  mov PHYSICAL(control4), %eax
  mov %eax, %cr4
  cmpl $0, PHYSICAL(features)
  je 1f
  mov $0xc0000080, %ecx
  rdmsr
  or PHYSICAL(features), %eax
  wrmsr
1:
  mov PHYSICAL(boot_tables), %eax
  mov %eax, %cr3
  mov PHYSICAL(control0), %eax
  mov %eax, %cr0
  mov $1f, %eax
  jmp *%eax
1:
  imul $STACK_STEP, %edi, %esp
  add stacks, %esp
  push %edi
  call start
