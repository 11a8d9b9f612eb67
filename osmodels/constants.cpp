#include "osmodels/constants.hpp"

#include <algorithm>

#include "symbols/hex.hpp"

namespace swat::os {
namespace {

void join(std::string& text, std::string_view part) {
  if (!text.empty()) text += '|';
  text += part;
}

}  // namespace

std::string name_constants(const ConstantSet& set, std::uint64_t value) {
  const auto whole = std::ranges::find(set.constants, value, &Constant::value);
  if (whole != set.constants.end()) return std::string(whole->name);
  if (!set.is_flags || value == 0) return value == 0 ? "0" : symbols::hex(value);
  std::string text;
  for (const Constant& flag : set.constants) {
    if (flag.value == 0 || (value & flag.value) != flag.value) continue;
    join(text, flag.name);
    value &= ~flag.value;
  }
  if (value != 0) join(text, symbols::hex(value));
  return text;
}

}  // namespace swat::os
