// How an AArch64 Linux kernel gets from `svc` to a syscall's handler.
//
// The vector of synchronous exceptions serves faults, too; do_el0_svc (el0_svc_handler until 5.4)
// is what it calls for `svc` alone, with the caller's registers saved in struct pt_regs. From there
// invoke_syscall, or what it was inlined into, loads the handler out of sys_call_table and calls
// it. 32-bit callers come by do_el0_svc_compat (el0_svc_compat_handler), to compat_sys_call_table.
// [arch/arm64/kernel/entry-common.c, syscall.c of Linux 4.19 to 6.12]
// Until 4.18: dispatch_aarch64_assembly.hpp.
#pragma once

#include <optional>
#include <vector>

#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/model.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

// What is looked at. All references outlive it.
struct Aarch64Kernel {
  VirtualMemory& memory;
  const symbols::SymbolTable& symbols;  // of code alone; none are needed until 4.18
  const KernelLayout& layout;
  std::optional<Va> vectors;
};
// Of Linux, as its symbols or a vCPU have it.
[[nodiscard]] Aarch64Kernel aarch64_kernel(GuestView& guest, VirtualMemory& memory,
                                           const symbols::SymbolTable& symbols,
                                           const KernelLayout& layout);

// kNotFound: this kernel has neither functions of these names nor that code.
[[nodiscard]] Result<std::vector<SyscallEntry>> find_aarch64_entries(const Aarch64Kernel& kernel);
// `compat`: of 32-bit callers.
[[nodiscard]] Result<SyscallDispatch> find_aarch64_dispatch(const Aarch64Kernel& kernel,
                                                            bool compat);
// What `vcpu`, which stands before a load of `dispatch`, is about to call. kNotFound: it does not,
// or the load is of another table.
[[nodiscard]] Result<DispatchedSyscall> read_aarch64_dispatched(GuestView& guest, unsigned vcpu,
                                                                VirtualMemory& kernel,
                                                                const SyscallDispatch& dispatch);

// The result of the call that `vcpu` is about to make, which stands before a load of `dispatches`
// (null: not looked for), or at one of `entries`: regs[0] of struct pt_regs, which begins where the
// stack pointer is while registers are saved and restored. Handlers read regs[0] for their first
// argument; pc, which is restored with it, is read on the way out, where a signal meets the call,
// and by fork, which copies all of them. kNotFound: the vCPU stands elsewhere.
// [arch/arm64/include/uapi/asm/ptrace.h, struct user_pt_regs; kernel_exit in entry.S]
[[nodiscard]] Result<ResultWord> aarch64_result_word(
    GuestView& guest, unsigned vcpu, std::span<const SyscallDispatch* const> dispatches,
    const std::vector<SyscallEntry>& entries);

}  // namespace swat::os
