// The caller's registers as an x86_64 Linux kernel saves them at a syscall: struct pt_regs, which
// is ABI, at the top of the thread's kernel stack.
#pragma once

#include <vector>

#include "osmodels/model.hpp"

namespace swat::os {

// See OsModel::dispatched().
[[nodiscard]] Result<DispatchedSyscall> read_dispatched(GuestView& guest, unsigned vcpu,
                                                        VirtualMemory& kernel,
                                                        const SyscallDispatch& dispatch,
                                                        const std::vector<SyscallEntry>& entries);

}  // namespace swat::os
