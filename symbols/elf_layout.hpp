// What the program headers of a mapped ELF image say: the ground that its tables are looked up on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "symbols/address.hpp"

namespace swat::symbols {

// Bounds on what an image may claim; beyond one of them it is kBadImage.
struct ElfLimits {
  std::size_t max_program_headers = 128;
  std::size_t max_dynamic_entries = 1024;
  std::size_t max_symbols = 1 << 18;
  std::size_t max_relocations = 1 << 18;  // of one table, not counting the leading RELATIVE ones
  std::size_t max_string_bytes = 16 << 20;
  std::size_t max_name_bytes = 4096;
  std::size_t max_all_names_bytes = 64 << 20;  // of one answer: many symbols may share a long name
  std::size_t max_versions = 4096;
  std::size_t max_note_bytes = 64 << 10;  // of one PT_NOTE
};

struct ElfLayout {
  static constexpr std::uint64_t kPageBytes = 4096;  // the least; an image may count on larger ones

  // A PT_LOAD, not to whole pages.
  struct Load {
    VaRange where;
    std::uint64_t file_offset;
    std::uint64_t file_bytes;  // the rest is zeros
    bool readable;
    bool writable;
    bool executable;

    // As it was mapped: whole pages, its .bss included.
    [[nodiscard]] VaRange pages() const {
      return {where.start.aligned_down(kPageBytes),
              (where.end + (kPageBytes - 1)).aligned_down(kPageBytes)};
    }
    [[nodiscard]] std::uint64_t file_offset_of_pages() const {
      return file_offset - std::min(file_offset, where.start.value % kPageBytes);
    }
  };
  struct Notes {
    VaRange where;
    std::uint32_t alignment;  // of a note's parts: 4 or 8
  };

  ElfLimits limits;
  bool is_64_bit = true;
  std::uint16_t machine = 0;
  std::uint64_t load_bias = 0;
  Va entry;
  VaRange extent;
  std::vector<Load> loads;
  std::optional<VaRange> dynamic;
  std::optional<VaRange> interpreter;  // PT_INTERP
  std::vector<Notes> notes;

  // Run-time address of a link-time one. Wraps as the image's own pointers do: an i386 vDSO that is
  // linked at 0xffffe000 is mapped below that.
  [[nodiscard]] Va at(std::uint64_t link_address) const {
    const std::uint64_t address = link_address + load_bias;
    return {is_64_bit ? address : address & 0xffff'ffff};
  }
  [[nodiscard]] bool contains(Va start, std::uint64_t size_bytes) const {
    return extent.contains(start) && size_bytes <= extent.end - start;
  }
  [[nodiscard]] bool is_code(Va address) const {
    return std::ranges::any_of(
        loads, [&](const Load& load) { return load.executable && load.where.contains(address); });
  }
};

}  // namespace swat::symbols
