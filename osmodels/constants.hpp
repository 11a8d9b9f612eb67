// Names of numbers: of flags, which are joined, and of enumerations.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace swat::os {

struct Constant {
  std::uint64_t value;
  std::string_view name;
};

struct ConstantSet {
  std::string_view of;  // a type, or a parameter
  bool is_flags;
  std::span<const Constant> constants;  // of flags: those of several bits before their parts
};

// "PAGE_READWRITE", "MEM_COMMIT|MEM_RESERVE", "FILE_SHARE_READ|0x80"; a number without a name as
// 0x80. Of flags 0 is "0", unless it has a name.
[[nodiscard]] std::string name_constants(const ConstantSet& set, std::uint64_t value);

}  // namespace swat::os
