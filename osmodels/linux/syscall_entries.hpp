// The ways from user mode into an x86_64 Linux kernel.
#pragma once

#include <vector>

#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/model.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

// From the CPUs' own registers and IDT; what they do not tell, from kernel symbols. Entries that
// only refuse the call (no IA32 emulation) are left out. kNotFound: none at all.
[[nodiscard]] Result<std::vector<SyscallEntry>> find_syscall_entries(
    GuestView& guest, VirtualMemory& kernel, const symbols::SymbolTable& symbols,
    const KernelLayout& layout);

}  // namespace swat::os
