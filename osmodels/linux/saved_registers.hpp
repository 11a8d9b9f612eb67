// The caller's registers as an x86 Linux kernel saves them at a syscall: struct pt_regs, which is
// ABI, at the top of the thread's kernel stack. While the entry itself calls the handler, 32-bit
// kernels have the same words, its arguments, on top of the stack; so have those older than 4.3,
// whose pt_regs had other sizes.
#pragma once

#include <optional>
#include <vector>

#include "osmodels/model.hpp"

namespace swat::os {

// See OsModel::dispatched().
[[nodiscard]] Result<DispatchedSyscall> read_dispatched(GuestView& guest, unsigned vcpu,
                                                        VirtualMemory& kernel,
                                                        const SyscallDispatch& dispatch,
                                                        const std::vector<SyscallEntry>& entries);

// The entry, of those but SYSCALL's, whose code `at` is in: the nearest below. None: it is far from
// all.
[[nodiscard]] std::optional<SyscallEntry::Kind> entry_around(
    const std::vector<SyscallEntry>& entries, Va at);

}  // namespace swat::os
