// Hex digits as RSP spells them: bytes as two digits each, numbers big-endian without a prefix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace swat::gdbproto {

void append_hex(std::string& text, std::span<const std::byte> bytes);
// At least `min_digits` digits, at most 16.
void append_hex_number(std::string& text, std::uint64_t value, std::size_t min_digits = 1);

// False when `text` is not exactly two digits for every byte of `into`.
[[nodiscard]] bool decode_hex(std::string_view text, std::span<std::byte> into);
// 1 to 16 digits, of either case; anything else is nullopt.
[[nodiscard]] std::optional<std::uint64_t> parse_hex_number(std::string_view text);

}  // namespace swat::gdbproto
