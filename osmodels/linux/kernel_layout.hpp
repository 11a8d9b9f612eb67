// What all data of one Linux kernel has in common: how wide a word is, and which words may be
// addresses of its own.
#pragma once

#include <algorithm>
#include <cstdint>

#include "symbols/memory.hpp"

namespace swat::os {

struct KernelLayout {
  unsigned word_bytes = 8;  // of a pointer and of an unsigned long: 4 or 8
  // Where the kernel's own data begins, and user space has ended.
  std::uint64_t lowest_address = 0;
  std::uint64_t root_alignment = 4096;  // bytes; of the topmost table of an address space
  // Of thread_info.flags: set for a 32-bit thread of a 64-bit kernel.
  std::uint64_t flag_32_bit = 0;
  unsigned page_shift = 12;

  [[nodiscard]] constexpr bool is_address(std::uint64_t value) const {
    return value >= lowest_address;
  }
  // To a word, or to a structure that holds some.
  [[nodiscard]] constexpr bool is_pointer(std::uint64_t value) const {
    return is_address(value) && value % word_bytes == 0;
  }
  // User space begins at 0.
  [[nodiscard]] constexpr std::uint64_t end_of_user_space() const {
    constexpr std::uint64_t kLongestUserSpace = std::uint64_t{1} << 56;  // of any architecture
    return std::min(lowest_address, kLongestUserSpace);
  }
  // Whole pages that user space may have mapped; not empty.
  [[nodiscard]] constexpr bool is_user_range(std::uint64_t start, std::uint64_t end) const {
    constexpr std::uint64_t kPage = 4096;
    return start < end && start % kPage == 0 && end % kPage == 0 && end <= end_of_user_space();
  }
};

// x86_64 since 2.6.11. [Documentation/arch/x86/x86_64/mm.rst]
inline constexpr KernelLayout kX86_64Layout{8, 0xffff800000000000, 4096, 1 << 29};

// A word at `at`, extended with zeros.
[[nodiscard]] inline Result<std::uint64_t> read_word(VirtualMemory& memory, Va at,
                                                     const KernelLayout& layout) {
  std::uint64_t value = 0;
  SWAT_CHECK(
      memory.read(at, std::as_writable_bytes(std::span(&value, 1)).first(layout.word_bytes)));
  return value;
}

}  // namespace swat::os
