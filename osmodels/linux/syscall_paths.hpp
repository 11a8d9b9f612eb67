// The ways from user mode into one Linux kernel, and on to its handlers: what the CPUs and the
// kernel's own code say, whatever is known of its structures.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "osmodels/linux/dispatch_aarch64.hpp"
#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/model.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

class SyscallPaths {
 public:
  // References outlive this. `entry` is kernel text that the CPU itself names.
  SyscallPaths(GuestView& guest, VirtualMemory& kernel, const symbols::SymbolTable& symbols,
               const KernelLayout& layout, Va entry)
      : guest_(guest), kernel_(kernel), symbols_(symbols), layout_(layout), entry_(entry) {}

  // As OsModel has them.
  [[nodiscard]] Result<std::vector<SyscallEntry>> entries();
  [[nodiscard]] Result<std::shared_ptr<const SyscallDispatch>> dispatch(bool compat);
  [[nodiscard]] Result<DispatchedSyscall> dispatched(unsigned vcpu,
                                                     const SyscallDispatch& dispatch);

  // Those that have been asked for; null: not yet. Native, compat.
  [[nodiscard]] std::array<const SyscallDispatch*, 2> known_dispatches() const {
    return {dispatches_[0].get(), dispatches_[1].get()};
  }
  // The last answer of entries().
  [[nodiscard]] const std::vector<SyscallEntry>& known_entries() const { return entries_; }

 private:
  [[nodiscard]] bool is(Architecture architecture) const {
    return guest_.architecture() == architecture;
  }
  [[nodiscard]] Aarch64Kernel aarch64();
  [[nodiscard]] Result<std::vector<SyscallEntry>> find_entries();
  [[nodiscard]] Result<SyscallDispatch> find_dispatch(bool compat);

  GuestView& guest_;
  VirtualMemory& kernel_;
  const symbols::SymbolTable& symbols_;
  const KernelLayout& layout_;
  Va entry_;
  std::vector<SyscallEntry> entries_;
  std::array<std::shared_ptr<const SyscallDispatch>, 2> dispatches_;  // native, compat
};

}  // namespace swat::os
