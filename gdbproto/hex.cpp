#include "gdbproto/hex.hpp"

#include <array>
#include <charconv>

namespace swat::gdbproto {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

constexpr std::uint8_t kNoDigit = 16;

constexpr std::array<std::uint8_t, 256> kValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (std::uint8_t i = 0; i < 10; ++i) values[static_cast<std::size_t>('0') + i] = i;
  for (std::uint8_t i = 10; i < 16; ++i) {
    values[static_cast<std::size_t>('a') + i - 10] = i;
    values[static_cast<std::size_t>('A') + i - 10] = i;
  }
  return values;
}();

// 16 and above: no digit.
constexpr unsigned digit(char c) { return kValues[static_cast<unsigned char>(c)]; }

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
  unsigned all = 0;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const unsigned high = digit(text[2 * i]);
    const unsigned low = digit(text[2 * i + 1]);
    all |= high | low;
    into[i] = static_cast<std::byte>(high << 4 | low);
  }
  return all < kNoDigit;
}

std::optional<std::uint64_t> parse_hex_number(std::string_view text) {
  if (text.empty() || text.size() > 16) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const unsigned d = digit(c);
    if (d > 15) return std::nullopt;
    value = value << 4 | d;
  }
  return value;
}

}  // namespace swat::gdbproto
