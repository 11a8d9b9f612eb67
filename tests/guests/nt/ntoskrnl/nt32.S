// The code and data of the 32-bit test kernel's ntoskrnl: entries of system calls and interrupts,
// the service tables, the exported functions that know a structure. Assembled for one build: ENTRY
// and ACCESSORS are files of this folder, STRUCT_Field is an offset, the rest is in assembler.py.
#include ENTRY

  .text
  // int 2e: the processor has changed the stack and pushed an interrupt frame.
  .globl KiSystemService
KiSystemService:
  push $1
  push %ebp
  push %ebx
  push %esi
  push %edi
  push %fs
  mov $0x30, %ebx
  mov %ebx, %fs
  mov $0x23, %ebx
  mov %ebx, %ds
  mov %ebx, %es
  jmp KiSystemServiceRepeat

  .balign 16
  .globl KiFastCallEntry
KiFastCallEntry:
  SYSENTER_ENTRY
  push $0x23
  push %edx
  pushf
  push $2
  add $8, %edx
  popf
  orb $2, 1(%esp)
  push $0x1b
  pushl SHARED_USER_DATA + KUSER_SHARED_DATA_SystemCallReturn
  push $0
  push %ebp
  push %ebx
  push %esi
  push %edi
  push $0x3b

// EAX: number; EDX: the arguments, in the user's memory.
KiSystemServiceRepeat:
  mov %esp, %ebp
  mov %fs:KPCR_PrcbData + KPRCB_CurrentThread, %esi
  mov %eax, %edi
  shr $8, %edi
  and $0x30, %edi
  add KTHREAD_ServiceTable(%esi), %edi
  mov %eax, %ebx
  and $0xfff, %eax
  cmp 8(%edi), %eax
  jae no_service
  push %edx
  push %eax
  push %ebx
  call *HalServicePointer
  pop %ebx
  pop %eax
  pop %edx
  mov %edx, %esi
  mov 12(%edi), %ebx
  xor %ecx, %ecx
  mov (%eax, %ebx), %cl
  mov (%edi), %edi
  mov (%edi, %eax, 4), %ebx
  sub %ecx, %esp
  shr $2, %ecx
  mov %esp, %edi
  rep movsl
  call *%ebx
KiServiceExit:
  mov %ebp, %esp
  pop %fs
  pop %edi
  pop %esi
  pop %ebx
  pop %ebp
  testl $1, (%esp)
  lea 4(%esp), %esp
  jnz 1f
  mov (%esp), %edx
  mov 12(%esp), %ecx
  sti
  sysexit
1:
  iret
no_service:
  mov $0xc000001c, %eax  // STATUS_INVALID_SYSTEM_SERVICE
  jmp KiServiceExit

// A thread's first way to user mode: the interrupt frame is all that the stack has.
  .globl KiUserReturn
KiUserReturn:
  mov $0x3b, %eax
  mov %eax, %fs
  mov $0x23, %eax
  mov %eax, %ds
  mov %eax, %es
  iret

// Interrupts and exceptions: KiTrap00, ...
  .macro TRAP number, pushed
  .globl KiTrap\number
KiTrap\number:
  .ifeq \pushed
  push $0
  .endif
  push $0x\number
  jmp trap
  .endm
#include "traps.inc"

trap:
  pusha
  push %fs
  push %ds
  push %es
  mov $0x30, %eax
  mov %eax, %fs
  mov $0x23, %eax
  mov %eax, %ds
  mov %eax, %es
  lea 44(%esp), %eax
  push %eax
  call *HalTrapPointer
  add $4, %esp
  pop %es
  pop %ds
  pop %fs
  popa
  add $8, %esp
  iret

  .balign 16, 0xcc
#include ACCESSORS
#include "accessors.inc"

// Services: SERVICE table, bytes of arguments, what does it. From the stubs of the guest's DLLs.
  .macro SERVICE table, arguments, does
1:
  call *\does
  ret $\arguments
  .balign 16, 0xcc
  .pushsection .data.services\table
  .long 1b
  .popsection
  .pushsection .data.arguments\table
  .byte \arguments
  .popsection
  .endm
StatusSuccess:
  xor %eax, %eax
  ret
  .balign 16, 0xcc
// FileHandle, DesiredAccess, ObjectAttributes, IoStatusBlock, ... behind two return addresses.
StatusOpened:
  mov 8(%esp), %eax
  movl $OPENED_HANDLE, (%eax)
  mov 20(%esp), %eax
  movl $0, (%eax)
  movl $1, 4(%eax)  // FILE_OPENED
  xor %eax, %eax
  ret
  .balign 16, 0xcc
StatusNotFound:
  mov $0xc0000034, %eax  // STATUS_OBJECT_NAME_NOT_FOUND
  ret
  .section .data.services0, "aw"
  .globl KiServiceTable
KiServiceTable:
  .section .data.services1, "aw"
  .globl W32pServiceTable
W32pServiceTable:
  .section .data.arguments0, "aw"
KiArgumentTable:
  .section .data.arguments1, "aw"
W32pArgumentTable:
  .text
#include "services.inc"

  .data
  .balign 64
  .globl KeServiceDescriptorTable, KeServiceDescriptorTableShadow
KeServiceDescriptorTable:
  .long KiServiceTable, 0, SERVICES_0, KiArgumentTable
  .zero 48
KeServiceDescriptorTableShadow:
  .long KiServiceTable, 0, SERVICES_0, KiArgumentTable
  .long W32pServiceTable, 0, SERVICES_1, W32pArgumentTable
  .zero 32
StatusSuccessPointer: .long StatusSuccess
StatusOpenedPointer: .long StatusOpened
StatusNotFoundPointer: .long StatusNotFound
#include "data.inc"
