#include "symbols/kallsyms_tokens.hpp"

#include <cstdint>

#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

// A token is part of a name, and no name is longer than KSYM_NAME_LEN (512 since 6.1).
constexpr std::size_t kMaxTokenBytes = 600;
constexpr std::size_t kZero = '0';
constexpr std::size_t kTokens = 256;
constexpr std::size_t kIndexBytes = kTokens * sizeof(std::uint16_t);

constexpr auto kDigits = [] {
  std::array<char, 20> text{};
  for (std::size_t i = 0; i < 10; ++i) text[2 * i] = static_cast<char>('0' + i);
  return text;
}();

using Starts = std::array<std::size_t, kTokens + 1>;  // of each token; then the end of the last

// Tokens from '0' on, walked forward from the digits. What stands before is not known yet.
std::optional<Starts> walk_tokens(std::span<const std::byte> bytes, std::size_t digits) {
  Starts starts{};
  std::size_t at = digits;
  for (std::size_t token = kZero; token < kTokens; ++token) {
    starts[token] = at;
    const auto text = load_c_string(bytes, at, kMaxTokenBytes);
    if (!text) return std::nullopt;
    at += text->size() + 1;
  }
  starts[kTokens] = at;
  return starts;
}

// The caller has seen to it that the whole index lies inside.
std::size_t index_entry(std::span<const std::byte> bytes, std::size_t index, std::size_t token) {
  return load<std::uint16_t>(bytes, index + token * sizeof(std::uint16_t)).value_or(0);
}

// True when the 16-bit words at `index` are the offsets of these very tokens.
bool is_index_of(std::span<const std::byte> bytes, std::size_t index, const Starts& starts) {
  if (!holds(bytes, index, kIndexBytes) || index_entry(bytes, index, 0) != 0) return false;
  const std::size_t zero = index_entry(bytes, index, kZero);
  if (zero > starts[kZero]) return false;
  const std::size_t begin = starts[kZero] - zero;
  for (std::size_t token = kZero; token < kTokens; ++token) {
    if (begin + index_entry(bytes, index, token) != starts[token]) return false;
  }
  for (std::size_t token = 0; token < kZero; ++token) {
    const std::size_t at = begin + index_entry(bytes, index, token);
    const std::size_t next = begin + index_entry(bytes, index, token + 1);
    const auto text = load_c_string(bytes, at, kMaxTokenBytes);
    if (!text || at + text->size() + 1 != next) return false;
  }
  return true;
}

std::optional<TokenTable> table_at(const KernelImage& image, std::size_t digits) {
  const auto starts = walk_tokens(image.bytes, digits);
  if (!starts) return std::nullopt;
  const std::size_t end = starts->back();
  const std::size_t first = end + (image.address_of(end).value & 1);
  for (std::size_t index = first; index <= end + kMaxPadding; index += 2) {
    if (!is_index_of(image.bytes, index, *starts)) continue;
    TokenTable table{
        digits - index_entry(image.bytes, index, kZero), index, index + kIndexBytes, {}};
    for (std::size_t token = 0; token < kTokens; ++token) {
      const std::size_t at = table.begin + index_entry(image.bytes, index, token);
      table.tokens[token] = load_c_string(image.bytes, at, kMaxTokenBytes).value_or("");
    }
    return table;
  }
  return std::nullopt;
}

}  // namespace

std::optional<TokenTable> find_token_table(const KernelImage& image, std::size_t& from,
                                           int& candidates) {
  const std::string_view text = as_text(image.bytes);
  const std::string_view digits(kDigits.data(), kDigits.size());
  while (candidates > 0) {
    const std::size_t at = text.find(digits, from);
    if (at == std::string_view::npos) break;
    from = at + 1;
    --candidates;
    if (auto table = table_at(image, at)) return table;
  }
  return std::nullopt;
}

}  // namespace swat::symbols
