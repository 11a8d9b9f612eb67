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

}  // namespace swat::os
