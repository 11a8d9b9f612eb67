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

#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

struct EntryStore {
  std::uint64_t gs_offset;  // of the word, from the kernel's gs base; wraps modulo 2^64
  std::uint32_t size_bytes;
  Va instruction;  // the store
  Va stop_pc;      // where a vCPU stands just after it
  // Where it stands when the stop comes late, at the end of QEMU's translation block: behind the
  // next branch, on either way, or write of CR3. That happens on SMP, when an earlier hit of this
  // vCPU was lost on another one's (facts/qemu.md 0.2). But for the stack pointer the registers are
  // still the caller's.
  std::vector<Va> late_pcs;
};

// Follows the code from `entry` (64-bit) to its first store through gs at a fixed offset, over
// unconditional jumps. kNotFound: a branch, a call or the bound came first.
[[nodiscard]] Result<EntryStore> find_entry_store(VirtualMemory& kernel, Va entry);

// The same of a 32-bit NT kernel, whose entry for SYSENTER stores nothing elsewhere than on stacks,
// but pushes a word of KUSER_SHARED_DATA: SystemCallReturn, where the caller goes on. Nothing else
// reads it.
struct EntryRead {
  Va word;
  std::uint32_t size_bytes;
  Va stop_pc;                // where a vCPU stands just after it
  std::vector<Va> late_pcs;  // as EntryStore's
  // So much has been added to edx by then, which leads to the caller's arguments.
  std::uint64_t advanced;
};

// kNotFound: a branch, a call or the bound came first.
[[nodiscard]] Result<EntryRead> find_entry_read(VirtualMemory& kernel, Va entry);

}  // namespace swat::os::x86
