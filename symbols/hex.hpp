// Identifiers that are bytes, and numbers, as everybody writes them.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
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

// "0x1f", as C has it.
[[nodiscard]] inline std::string hex(std::uint64_t number) {
  constexpr int kBase = 16;
  std::array<char, 2 * sizeof(number)> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, kBase).ptr;
  return "0x" + std::string(digits.data(), end);
}

}  // namespace swat::symbols
