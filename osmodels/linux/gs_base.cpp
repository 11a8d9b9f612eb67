#include "osmodels/linux/gs_base.hpp"

namespace swat::os {

// In user mode the kernel's base waits in KERNEL_GS_BASE; at an entry before `swapgs` too, where
// the other one is the user's and could be made to look like the kernel's only with FSGSBASE.
std::vector<Va> gs_bases(GuestView& guest, const KernelLayout& layout, unsigned vcpu) {
  std::vector<Va> bases;
  const auto add = [&](std::string_view name) {
    const Result<std::uint64_t> value = guest.reg(vcpu, name);
    if (value && layout.is_pointer(*value)) bases.push_back(Va{*value});
  };
  constexpr std::uint64_t kPrivilegeLevel = 3;
  const Result<std::uint64_t> cs = guest.reg(vcpu, "cs");
  const bool in_user_mode = cs && (*cs & kPrivilegeLevel) == kPrivilegeLevel;
  add(in_user_mode ? "k_gs_base" : "gs_base");
  if (!in_user_mode) add("k_gs_base");
  return bases;
}

}  // namespace swat::os
