// Which user address space a vCPU has, by its page-table register alone.
//
// x86 with page-table isolation (KPTI, since 4.15): the root of the half that user mode runs on is
// the page after the root of the kernel's half, which names the address space here.
// [arch/x86/entry/calling.h]
//
// AArch64 without PAN in the CPU (before ARMv8.1), by a kernel that does it in software (since
// 4.10): while the kernel runs, the register leads to a table without any entry, and the user's is
// in the running thread's thread_info, at the start of its task: behind the flags, or until 5.10
// behind the address limit, too. [arch/arm64/include/asm/uaccess.h, thread_info.h]
#pragma once

#include <cstdint>
#include <optional>

#include "osmodels/linux/kernel_locator.hpp"

namespace swat::os {

class UserRoots {
 public:
  // `guest` outlives this.
  UserRoots(GuestView& guest, const LocatedKernel& kernel);

  // kNotFound: this vCPU has none now.
  [[nodiscard]] Result<Pa> of(unsigned vcpu);
  // The table with the rights that user mode has: those of the kernel's half deny execution.
  [[nodiscard]] Pa with_user_rights(Pa root);

 private:
  [[nodiscard]] bool has_entries(Pa root);
  [[nodiscard]] Result<Pa> put_away(unsigned vcpu);
  [[nodiscard]] Pa kernel_half(Pa root);
  [[nodiscard]] bool are_halves(Pa of_kernel, Pa of_user);

  GuestView& guest_;
  const PageGeometry& geometry_;  // of the kernel's addresses
  std::uint64_t root_bytes_;      // of the user's
  Pa kernel_root_;
  Va kernel_code_;  // that user mode enters by
  Va kernel_data_;
  std::uint64_t root_bits_;
  bool is_below_cpus_table_;  // x86_64 until 2.6.10: what the CPU's own first entry leads to
  bool may_be_split_;
  std::optional<bool> is_split_;  // once a root has shown it
};

}  // namespace swat::os
