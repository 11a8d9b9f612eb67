// How AArch64 Linux until 4.18 gets from `svc` to a syscall's handler: in assembly alone.
//
// el0_svc lies behind the vectors, in one file with them. It takes the table's address, which is a
// page's for that, the caller's number, and how many numbers there are; behind it the handler is
// loaded and called, with the caller's x0 to x7 as they were. A traced call comes by a load of its
// own. The caller's registers have been saved where the stack pointer is, too (struct pt_regs).
// [arch/arm64/kernel/entry.S, el0_svc and el0_svc_naked; sys.c; of Linux 3.7 to 4.18]
#pragma once

#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/model.hpp"

namespace swat::os {

struct AssemblyDispatch {
  Va entry;  // where the caller's registers are saved, and hold what they held
  SyscallDispatch dispatch;
};

// Of 64-bit callers. `vectors` is what VBAR_EL1 holds in the kernel. kNotFound: no such code there.
[[nodiscard]] Result<AssemblyDispatch> find_assembly_dispatch(VirtualMemory& kernel, Va vectors,
                                                              const KernelLayout& layout);

}  // namespace swat::os
