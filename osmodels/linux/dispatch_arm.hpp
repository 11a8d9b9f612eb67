// How a 32-bit ARM Linux kernel gets from `svc` to a system call's handler (arm/entry_path.hpp).
//
// What it does not find in its tables (cacheflush, set_tls and the like, numbers there are not) a
// trap on the tables does not see.
#pragma once

#include <vector>

#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/model.hpp"

namespace swat::os {

// `entry` is where the vector of SVC leads.
[[nodiscard]] Result<std::vector<SyscallEntry>> find_arm_entries(VirtualMemory& kernel, Va entry);
// `oabi`: of the ABI before EABI, which has another table on kernels that know both.
[[nodiscard]] Result<SyscallDispatch> find_arm_dispatch(VirtualMemory& kernel, Va entry, bool oabi,
                                                        const KernelLayout& layout);
// What `vcpu`, which stands before a load of `dispatch`, is about to call. kNotFound: it does not,
// or the load is of another table.
[[nodiscard]] Result<DispatchedSyscall> read_arm_dispatched(GuestView& guest, unsigned vcpu,
                                                            const SyscallDispatch& dispatch);

// Of the call that `vcpu` is about to make, which stands somewhere in the entry: struct pt_regs is
// at the upper end of the thread's stack. Watched is the saved pc, which the way back reads
// (arm/exit_path.hpp), where a signal meets the call, and by fork, which copies all of them.
[[nodiscard]] Result<ResultWord> arm_result_word(GuestView& guest, unsigned vcpu);

}  // namespace swat::os
