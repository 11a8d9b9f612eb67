#include "osmodels/linux/dentry_chain.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kLongestChain = 64;
constexpr std::size_t kLongestName = 256;  // NAME_MAX and its NUL

}  // namespace

Result<Va> DentryChain::parent(Va dentry) const {
  const Va up{SWAT_TRY(read_word(kernel_, dentry + *profile_.dentry_parent, profile_.layout))};
  if (profile_.layout.is_pointer(up.value)) return up;
  return fail(Errc::kBadImage, "no pointer of the kernel", dentry.value);
}

Result<Va> DentryChain::root_of(Va dentry) const {
  for (std::size_t steps = 0; steps < kLongestChain; ++steps) {
    const Va up = SWAT_TRY(parent(dentry));
    if (up == dentry) return up;
    dentry = up;
  }
  return fail(Errc::kBadImage, "dentries without an end", dentry.value);
}

bool DentryChain::passes(Va dentry, Va above) const {
  for (std::size_t steps = 0; steps < kLongestChain; ++steps) {
    if (dentry == above) return true;
    const auto up = parent(dentry);
    if (!up || *up == dentry) return false;
    dentry = *up;
  }
  return false;
}

Result<std::string> DentryChain::name_of(Va dentry) const {
  const Va text{SWAT_TRY(read_word(kernel_, dentry + *profile_.dentry_name, profile_.layout))};
  return read_c_string(kernel_, text, kLongestName);
}

// d_name is {hash, len, name}, in 2.4 {name, len, hash}.
bool DentryChain::has_name(Va dentry) const {
  const auto name = name_of(dentry);
  if (!name || name->empty()) return false;
  const Va at = dentry + *profile_.dentry_name;
  const auto before = read_as<std::uint32_t>(kernel_, at - 4);
  const auto behind = read_as<std::uint32_t>(kernel_, at + profile_.layout.word_bytes);
  return before && behind && (*before == name->size() || *behind == name->size()) &&
         std::ranges::all_of(*name, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
}

}  // namespace swat::os
