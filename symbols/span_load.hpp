// Little-endian loads out of guest bytes that are already here: bounded, no pointer casts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace swat::symbols {

// True when [at, at + size_bytes) lies inside; no sum is formed that could wrap.
[[nodiscard]] inline bool holds(std::span<const std::byte> bytes, std::uint64_t at,
                                std::uint64_t size_bytes) {
  return at <= bytes.size() && size_bytes <= bytes.size() - at;
}

// nullopt: not all of it lies inside `bytes`.
template <class T>
[[nodiscard]] std::optional<T> load(std::span<const std::byte> bytes, std::uint64_t at) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (!holds(bytes, at, sizeof(T))) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// An unsigned word of 4 or 8 bytes, zero-extended.
[[nodiscard]] inline std::optional<std::uint64_t> load_word(std::span<const std::byte> bytes,
                                                            std::uint64_t at, unsigned size_bytes) {
  if (size_bytes == 8) return load<std::uint64_t>(bytes, at);
  return load<std::uint32_t>(bytes, at);
}

// The same bytes as text: char may alias anything, so this is no cast over guest structures.
[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The text at `at` up to its NUL; nullopt when none comes within `max_bytes`.
[[nodiscard]] inline std::optional<std::string_view> load_c_string(std::span<const std::byte> bytes,
                                                                   std::uint64_t at,
                                                                   std::size_t max_bytes) {
  if (at >= bytes.size()) return std::nullopt;
  const std::string_view rest = as_text(bytes).substr(at, max_bytes);
  const std::size_t end = rest.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  return rest.substr(0, end);
}

}  // namespace swat::symbols
