// The types of an ISF file (isf.hpp).
#pragma once

#include <nlohmann/json.hpp>

#include "osmodels/linux/profile.hpp"
#include "symbols/btf.hpp"

namespace swat::daemon {

// The file's parts of these names, each an object by type name.
struct IsfTypes {
  nlohmann::json base;
  nlohmann::json user;  // structures and unions
  nlohmann::json enums;
};

// All of the kernel's. kBadImage: the BTF is damaged.
[[nodiscard]] Result<IsfTypes> isf_types_of(const symbols::Btf& btf);
// Those members that the profile has.
[[nodiscard]] IsfTypes isf_types_of(const os::LinuxProfile& profile);

}  // namespace swat::daemon
