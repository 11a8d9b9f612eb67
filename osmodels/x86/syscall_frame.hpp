// Where a kernel keeps the caller's registers during a syscall: struct pt_regs, which the entry
// path builds at the upper end of the thread's kernel stack.
//
// One word of it is worth a watchpoint: that of rax. The handler's result is stored there, and the
// last instructions before user mode load it, once for each return, on every way out (sysret, iret,
// the 32-bit ones). In between, the kernel itself reads it only where a signal meets the call. A
// *read* watch on it is safe where a write watch is not: exceptions push onto the same page, and a
// write watch there aborts QEMU as soon as a hit of another vCPU has gone unreported (measured on
// 7.2, -smp 4, within seconds; the read watch survives the same treatment).
#pragma once

#include <cstdint>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

struct SyscallFrame {
  // Of the per-CPU word that the entry path takes its stack pointer from: the upper end of the
  // running thread's stack, or a constant below it. From the kernel's gs base, modulo 2^64.
  std::uint64_t stack_gs_offset;
  // From that word's value, modulo 2^64: the saved rax, and the frame's lowest word (r15). The
  // stack pointer is in the frame only while registers are saved or restored.
  std::uint64_t result;
  std::uint64_t bottom;

  // Where the caller goes on in user mode, from the frame's lowest word.
  static constexpr std::uint64_t kUserPcFromBottom = 0x80;
  static constexpr std::uint64_t kBytes = 0xa8;  // sizeof(struct pt_regs)
};

// Follows the code from `entry` (64-bit, reached by SYSCALL) over unconditional jumps. kNotFound:
// it branches or calls before rax has been saved to a stack that a per-CPU word leads to.
[[nodiscard]] Result<SyscallFrame> find_syscall_frame(VirtualMemory& kernel, Va entry);

// Of a 32-bit kernel's entry for `int $0x80`: bytes on the stack, those included that the CPU has
// pushed, when ebx has been saved as the last of struct pt_regs. kNotFound: it is not.
[[nodiscard]] Result<std::uint64_t> pushed_by_int80(VirtualMemory& kernel, Va entry);

}  // namespace swat::os::x86
