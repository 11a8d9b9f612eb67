// Where a kernel's syscall entry path first touches memory at a fixed address.
//
// A watchpoint there stops once for each syscall, with the caller's registers still in place, and
// costs a fraction of a breakpoint (facts/qemu.md 0.2). Only a *store* through gs is taken: loads
// of the same per-CPU words are shared with interrupts and context switches. The store is of the
// user's stack pointer: Linux saves it in cpu_tss_rw.sp2 (`mov %rsp,%gs:disp32`; before 4.16
// rsp_scratch, older_rsp), Windows in KPCR.UserRsp.
// Never taken: pushes. The entry stacks are where the CPU itself delivers exceptions, and a watch
// there aborts QEMU.
#pragma once

#include <optional>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

struct EntryStore {
  std::uint64_t gs_offset;  // of the word, from the kernel's gs base; wraps modulo 2^64
  std::uint32_t size_bytes;
  Va instruction;  // the store
  Va stop_pc;      // where a vCPU stands just after it
  // Where it stands when the stop comes late, at the end of QEMU's translation block: behind the
  // next branch or write of CR3. That happens on SMP, when an earlier hit of this vCPU was lost on
  // another one's (facts/qemu.md 0.2). The registers are still the caller's.
  std::optional<Va> late_pc;
};

// Follows the code from `entry` (64-bit) to its first store through gs at a fixed offset, over
// unconditional jumps. kNotFound: a branch, a call or the bound came first.
[[nodiscard]] Result<EntryStore> find_entry_store(VirtualMemory& kernel, Va entry);

}  // namespace swat::os::x86
