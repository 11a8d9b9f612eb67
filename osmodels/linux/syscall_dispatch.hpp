// Where an x86 Linux kernel goes from a syscall's number to its handler.
//
// Until 6.8 a table is read: sys_call_table, ia32_sys_call_table; by the entries themselves until
// 4.3 (i386) and 4.5 (x86_64), then by C code. Since 6.9, and in stable series
// that took the mitigation of branch history injection (Debian's 6.1 of 2024), x64_sys_call and
// ia32_sys_call compare the number instead; sys_call_table is left for ftrace. Which of the two it
// is, the running kernel's code says. [arch/x86/entry/common.c, syscall_64.c; commit 1e3ad78334a6]
#pragma once

#include <vector>

#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/model.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

// `compat`: of 32-bit callers of a 64-bit kernel. Without kernel symbols only tables that entries
// read. kNotFound: neither a table that code reads nor a function that compares.
[[nodiscard]] Result<SyscallDispatch> find_syscall_dispatch(
    VirtualMemory& kernel, const symbols::SymbolTable& symbols,
    const std::vector<SyscallEntry>& entries, bool compat, const KernelLayout& layout);

}  // namespace swat::os
