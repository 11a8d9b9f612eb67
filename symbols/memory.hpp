// Guest memory as every reader above the wire sees it: two interfaces and bounded helpers.
//
// All bytes that come back are hostile: lengths, counts, links and pointers among them are checked
// by whoever uses them, and nothing casts a pointer over them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "symbols/address.hpp"
#include "symbols/result.hpp"

namespace swat {

// One address space: a guest process, the guest kernel, or a file laid out as it would be mapped.
class VirtualMemory {
 public:
  virtual ~VirtualMemory() = default;
  // Fills `into` from `at`, or fails with kFault naming the first address that is not readable;
  // then what `into` holds is unspecified.
  [[nodiscard]] virtual Result<> read(Va at, std::span<std::byte> into) = 0;
};

// Guest RAM by guest physical address. Devices' registers are never read through it.
class PhysicalMemory {
 public:
  struct Piece {
    Pa at;
    std::span<std::byte> into;
  };

  virtual ~PhysicalMemory() = default;
  // RAM that exists, ascending, not overlapping.
  [[nodiscard]] virtual const std::vector<PaRange>& ranges() const = 0;
  // Fills `into`, or fails with kFault where [at, at+size) is not all RAM.
  [[nodiscard]] virtual Result<> read(Pa at, std::span<std::byte> into) = 0;
  // Several reads at the price of one (one round trip, one system call). All or nothing.
  [[nodiscard]] virtual Result<> read_batch(std::span<const Piece> pieces) {
    for (const Piece& piece : pieces) SWAT_CHECK(read(piece.at, piece.into));
    return {};
  }
};

// A little-endian value at `at`; every guest this project knows is little-endian.
template <class T, class Memory, class Address>
[[nodiscard]] Result<T> read_as(Memory& memory, Address at) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::array<std::byte, sizeof(T)> raw;
  SWAT_CHECK(memory.read(at, raw));
  T value;
  std::memcpy(&value, raw.data(), sizeof(T));
  return value;
}

// `size_bytes` is the caller's bound, already checked against what is sane for the structure.
template <class Memory, class Address>
[[nodiscard]] Result<std::vector<std::byte>> read_bytes(Memory& memory, Address at,
                                                        std::size_t size_bytes) {
  std::vector<std::byte> bytes(size_bytes);
  SWAT_CHECK(memory.read(at, bytes));
  return bytes;
}

// A NUL-terminated string of fewer than `max_bytes` bytes; kBadImage when no NUL comes. Reads never
// cross into a page that the string does not reach.
[[nodiscard]] inline Result<std::string> read_c_string(VirtualMemory& memory, Va at,
                                                       std::size_t max_bytes) {
  constexpr std::size_t kPage = 4096;
  std::string text;
  while (text.size() < max_bytes) {
    const Va here = at + text.size();
    const std::size_t to_page_end = kPage - here.value % kPage;
    std::array<char, 64> chunk;
    const std::size_t n = std::min({to_page_end, chunk.size(), max_bytes - text.size()});
    SWAT_CHECK(memory.read(here, std::as_writable_bytes(std::span(chunk).first(n))));
    const auto* const nul = std::find(chunk.data(), chunk.data() + n, '\0');
    text.append(static_cast<const char*>(chunk.data()), nul);
    if (nul != chunk.data() + n) return text;
  }
  return fail(Errc::kBadImage, "string without an end", at.value);
}

}  // namespace swat
