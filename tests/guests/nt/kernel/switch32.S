// void switch_stack(u64* from, const u64* to): the callee's registers go onto the old stack, and
// what the FPU and SSE have. prepare() in hal.c makes such a frame, too.
  .globl switch_stack, thread_start
switch_stack:
  mov 4(%esp), %eax
  mov 8(%esp), %ecx
  push %ebp
  push %ebx
  push %esi
  push %edi
  mov %esp, %edx
  sub $512, %esp
  and $-16, %esp
  fxsave (%esp)
  push %edx
  mov %esp, (%eax)
  mov (%ecx), %esp
  pop %edx
  fxrstor (%esp)
  mov %edx, %esp
  pop %edi
  pop %esi
  pop %ebx
  pop %ebp
  ret

// A thread's first code, with the interrupt frame for user mode on the stack.
thread_start:
  call thread_started
  jmp *%eax
