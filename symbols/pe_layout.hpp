// What the headers of a mapped PE image say: the ground that its tables are looked up on.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "symbols/address.hpp"

namespace swat::symbols {

// Bounds on what an image may claim; beyond one of them it is kBadImage.
struct PeLimits {
  std::size_t max_header_bytes = 64 << 10;  // from the base to the end of the section table
  std::uint64_t max_image_bytes = std::uint64_t{1} << 31;
  std::size_t max_sections = 512;       // Windows' loader takes 96 at most until Vista
  std::size_t max_functions = 1 << 16;  // an ordinal has 16 bits
  std::size_t max_names = 1 << 17;      // several may be of one function
  std::size_t max_libraries = 4096;
  std::size_t max_library_name_bytes = 260;  // MAX_PATH; each import has it
  std::size_t max_imports = 1 << 17;         // of one image
  std::size_t max_name_bytes = 4096;
  std::size_t max_all_names_bytes = 64 << 20;  // of one answer: many entries may share a long name
  std::size_t max_debug_entries = 64;
};

// Of the tables that an image may have, those that are read here: indexes into its data
// directories. [PE format, "Optional Header Data Directories"]
enum class PeTable : std::uint8_t { kExports = 0, kImports = 1, kDebug = 6, kDelayedImports = 13 };

// A place in the image: bytes from its base, 0 for none. Both are what the image says.
struct PeDirectory {
  std::uint32_t rva = 0;
  std::uint32_t size_bytes = 0;

  [[nodiscard]] bool contains(std::uint32_t at) const { return at >= rva && at - rva < size_bytes; }
};

struct PeSection {
  std::string name;  // ".text", not longer than 8 bytes
  VaRange where;     // as far as it lies in the image
  bool executable = false;
  bool writable = false;
};

struct PeLayout {
  static constexpr std::size_t kMaxDirectories = 16;

  PeLimits limits;
  bool is_64_bit = true;
  std::uint16_t machine = 0;
  std::uint32_t time_stamp = 0;
  std::uint64_t linked_base = 0;
  Va entry;  // null: none
  VaRange extent;
  std::vector<PeSection> sections;
  std::array<PeDirectory, kMaxDirectories> directories{};

  [[nodiscard]] const PeDirectory& directory(PeTable table) const {
    return directories[static_cast<std::size_t>(table)];
  }
  [[nodiscard]] Va at(std::uint32_t rva) const { return extent.start + rva; }
  [[nodiscard]] bool contains(std::uint32_t rva, std::uint64_t size_bytes) const {
    return rva < extent.size() && size_bytes <= extent.size() - rva;
  }
  [[nodiscard]] bool is_code(Va address) const {
    return std::ranges::any_of(sections, [&](const PeSection& section) {
      return section.executable && section.where.contains(address);
    });
  }
};

}  // namespace swat::symbols
