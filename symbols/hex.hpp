// Identifiers that are bytes, as everybody writes them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace swat::symbols {

// Lower case, two digits a byte.
[[nodiscard]] inline std::string to_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    text += kDigits[std::to_integer<std::size_t>(b >> 4)];
    text += kDigits[std::to_integer<std::size_t>(b & std::byte{0xf})];
  }
  return text;
}

}  // namespace swat::symbols
