// void switch_stack(u64* from, const u64* to): the callee's registers go onto the old stack, and
// what the FPU and SSE have. prepare() in hal.c makes such a frame, too.
  .globl switch_stack, thread_start
switch_stack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, %rdx
  sub $512, %rsp
  and $-16, %rsp
  fxsave64 (%rsp)
  push %rdx
  mov %rsp, (%rdi)
  mov (%rsi), %rsp
  pop %rdx
  fxrstor64 (%rsp)
  mov %rdx, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret

// A thread's first code, with the interrupt frame for user mode on the stack.
thread_start:
  sub $8, %rsp
  call thread_started
  add $8, %rsp
  jmp *%rax
