// The code and data of the 64-bit test kernel's ntoskrnl: entries of system calls and interrupts,
// the service tables, the exported functions that know a structure. Assembled for one build: ENTRY
// and ACCESSORS are files of this folder, STRUCT_Field is an offset, the rest is in assembler.py.
//
// ENTRY has KiSystemCall64 or its shadow, which ends in a jump to KiSystemServiceUser; SystemExit,
// where the stack has an interrupt frame and the user called; KiUserReturn, where it was interrupted;
// any_trap, which is behind all vectors. It ends in the section that these belong into.
#include ENTRY

  .macro TRAP number, pushed
  .globl KiTrap\number
KiTrap\number:
  .ifeq \pushed
  push $0
  .endif
  push $0x\number
  jmp any_trap
  .endm
#include "traps.inc"

  .text
// The stack has an interrupt frame; EAX: number; RCX, RDX, R8, R9: arguments.
KiSystemServiceUser:
  push %rbp
  push %rbx
  push %rsi
  push %rdi
  mov %rsp, %rbp
  push %rcx
  push %rdx
  push %r8
  push %r9
  push %rax
  mov %rax, %rdi
  call *HalServicePointer(%rip)
  pop %rax
  pop %r9
  pop %r8
  pop %rdx
  pop %rcx
  mov %eax, %edi
  shr $7, %edi
  and $0x20, %edi
  and $0xfff, %eax
  lea KeServiceDescriptorTableShadow(%rip), %r10
  cmp 16(%r10, %rdi), %eax
  jae no_service
  mov (%r10, %rdi), %r10
  movslq (%r10, %rax, 4), %r11
  mov %r11, %rax
  sar $4, %r11
  add %r11, %r10
  // Arguments that the caller has on its stack, behind the return address and 32 bytes of home.
  sub $0xa8, %rsp
  mov 56(%rbp), %rsi
  add $0x28, %rsi
  lea 0x20(%rsp), %rdi
  mov %rcx, %r11
  mov %eax, %ecx
  and $15, %ecx
  rep movsq
  mov %r11, %rcx
  call *%r10
1:
  mov %rbp, %rsp
  pop %rdi
  pop %rsi
  pop %rbx
  pop %rbp
  jmp SystemExit
no_service:
  mov $0xc000001c, %eax  // STATUS_INVALID_SYSTEM_SERVICE
  jmp 1b

// The kernel's GS and page tables are in use; the stack has vector, error code, interrupt frame.
trap:
  push %rax
  push %rcx
  push %rdx
  push %rbx
  push %rbp
  push %rsi
  push %rdi
  push %r8
  push %r9
  push %r10
  push %r11
  push %r12
  push %r13
  push %r14
  push %r15
  lea 120(%rsp), %rdi
  mov %rsp, %rbp
  and $-16, %rsp
  call *HalTrapPointer(%rip)
  mov %rbp, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %r11
  pop %r10
  pop %r9
  pop %r8
  pop %rdi
  pop %rsi
  pop %rbp
  pop %rbx
  pop %rdx
  pop %rcx
  pop %rax
  add $16, %rsp
  testb $3, 8(%rsp)
  jnz KiUserReturn
  iretq

  .balign 16, 0xcc
#include ACCESSORS
#include "accessors.inc"
GETTER(PsGetProcessWow64Process, EPROCESS_Wow64Process)

// Services: SERVICE table, arguments on the stack, what does it. From the stubs of the guest's DLLs.
// The table has what is between it and the function, times 16, and that number of arguments. Tables are
// in subsections, so that the assembler can do that sum.
  .macro SERVICE table, arguments, does
1:
  jmp *\does(%rip)
  .balign 16, 0xcc
  .pushsection .text, \table + 1
  .long (1b - services\table) * 16 + \arguments
  .popsection
  .endm
StatusSuccess:
  xor %eax, %eax
  ret
  .balign 16, 0xcc
// FileHandle, DesiredAccess, ObjectAttributes, IoStatusBlock, ...
StatusOpened:
  movq $OPENED_HANDLE, (%rcx)
  movl $0, (%r9)
  movq $1, 8(%r9)  // FILE_OPENED
  xor %eax, %eax
  ret
  .balign 16, 0xcc
StatusNotFound:
  mov $0xc0000034, %eax  // STATUS_OBJECT_NAME_NOT_FOUND
  ret
  .balign 16, 0xcc
  .text 1
  .balign 64
  .globl KiServiceTable
KiServiceTable:
services0:
  .text 2
  .balign 64
  .globl W32pServiceTable
W32pServiceTable:
services1:
  .text 0
#include "services.inc"

  .data
  .balign 64
KeServiceDescriptorTable:
  .quad KiServiceTable, 0, SERVICES_0, 0
  .zero 32
KeServiceDescriptorTableShadow:
  .quad KiServiceTable, 0, SERVICES_0, 0
  .quad W32pServiceTable, 0, SERVICES_1, 0
StatusSuccessPointer: .quad StatusSuccess
StatusOpenedPointer: .quad StatusOpened
StatusNotFoundPointer: .quad StatusNotFound
#include "data.inc"
