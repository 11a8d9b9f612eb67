// The first code of a 64-bit guest: as boot32.S, by way of long mode.
#include "boot.inc"

paging_on:
  mov PHYSICAL(control4), %eax
  mov %eax, %cr4
  mov $0xc0000080, %ecx
  rdmsr
  or PHYSICAL(features), %eax
  wrmsr
  mov PHYSICAL(boot_tables), %eax
  mov %eax, %cr3
  mov PHYSICAL(control0), %eax
  mov %eax, %cr0
  lgdt PHYSICAL(long_gdt_pointer)
  ljmp $8, $PHYSICAL(1f)
  .code64
1:
  movabs $1f, %rax
  jmp *%rax
1:
  imul $STACK_STEP, %rdi, %rsp
  add stacks(%rip), %rsp
  call start

  .balign 8
long_gdt:
  .quad 0, 0x00af9b000000ffff
long_gdt_pointer:
  .word 15
  .long PHYSICAL(long_gdt)
