#include "gdbproto/hex.hpp"

#include <charconv>

namespace swat::gdbproto {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

constexpr std::uint8_t kNoDigit = 0x80;

// A digit's value; anything else: kNoDigit or above. Without branches and tables, so that the
// compiler handles many digits at once: registers come as 1200 of them at every stop.
constexpr std::uint8_t digit(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  const auto decimal = static_cast<std::uint8_t>(byte - '0');
  const auto letter = static_cast<std::uint8_t>((byte | 0x20) - 'a');
  const auto of_letter = letter < 6 ? static_cast<std::uint8_t>(letter + 10) : kNoDigit;
  return decimal < 10 ? decimal : of_letter;
}

}  // namespace

void append_hex(std::string& text, std::span<const std::byte> bytes) {
  text.reserve(text.size() + 2 * bytes.size());
  for (const std::byte b : bytes) {
    text.push_back(kDigits[std::to_integer<unsigned>(b) >> 4]);
    text.push_back(kDigits[std::to_integer<unsigned>(b) & 15]);
  }
}

void append_hex_number(std::string& text, std::uint64_t value, std::size_t min_digits) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value, 16).ptr;
  const auto length = static_cast<std::size_t>(end - digits);
  if (length < min_digits) text.append(min_digits - length, '0');
  text.append(digits, length);
}

bool decode_hex(std::string_view text, std::span<std::byte> into) {
  if (text.size() != 2 * into.size()) return false;
  std::uint8_t all = 0;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const std::uint8_t high = digit(text[2 * i]);
    const std::uint8_t low = digit(text[2 * i + 1]);
    all = static_cast<std::uint8_t>(all | high | low);
    into[i] = static_cast<std::byte>(high << 4 | low);
  }
  return all < kNoDigit;
}

std::optional<std::uint64_t> parse_hex_number(std::string_view text) {
  if (text.empty() || text.size() > 16) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const unsigned d = digit(c);
    if (d >= kNoDigit) return std::nullopt;
    value = value << 4 | d;
  }
  return value;
}

}  // namespace swat::gdbproto
