// What page tables of one geometry look like: rows for page_table.cpp, which walks them all alike.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "osmodels/page_table.hpp"

namespace swat::os {

// What one entry of a table says.
struct Descriptor {
  enum class Kind { kAbsent, kTable, kLeaf } kind = Kind::kAbsent;
  Pa at;
  bool user = false;
  bool writable = false;
  bool executable = false;
  // Bits of the virtual address that go into a leaf's physical one although they index its table:
  // the leaf is larger than what one entry is of, and its entry is repeated.
  std::uint64_t repeated = 0;
};

struct Level {
  unsigned shift;  // of the address bits that index this level's table
  unsigned index_bits;
  bool may_be_leaf;  // has a "large page" bit; the last level is all leaves without one
  bool has_rights;   // its user, writable and no-execute bits count
};

// What the bits of an entry mean. A bit may be 0: there is none.
struct EntryFormat {
  unsigned entry_bytes;
  std::uint64_t present;
  // Of an entry that could be either: these bits make it a leaf if they are `leaf`.
  std::uint64_t leaf_mask;
  std::uint64_t leaf;
  std::uint64_t last_level;    // must be set in an entry of the last level, too
  std::uint64_t address_mask;  // of a table's or a small leaf's physical address
  // In a leaf: set for what is allowed, or for what is not.
  std::uint64_t user;
  std::uint64_t writable;
  std::uint64_t read_only;
  std::uint64_t no_execute;
  // In the entry of a table, for all that is below it.
  std::uint64_t table_user;
  std::uint64_t table_writable;
  std::uint64_t table_no_user;
  std::uint64_t table_read_only;
  std::uint64_t table_no_execute;
};

// One kind of entry of one level, where kinds have their bits in different places.
struct EntryKind {
  std::size_t level;
  std::uint64_t mask;  // these bits are `value` in an entry of this kind
  std::uint64_t value;
  Descriptor::Kind kind;
  std::uint64_t address_mask;
  // Of a leaf; as in EntryFormat.
  std::uint64_t user;
  std::uint64_t writable;
  std::uint64_t read_only;
  std::uint64_t no_execute;
};

// Which addresses are translated: those with zeros above va_bits, those with ones there, or those
// that repeat the highest of their va_bits there.
enum class Half { kLow, kHigh, kBoth };

struct PageGeometry {
  static constexpr std::size_t kMaxLevels = 5;

  std::string_view name;
  unsigned va_bits;
  Half half;
  EntryFormat entry;
  std::array<Level, kMaxLevels> levels;
  std::size_t level_count;
  // If there are any they decode an entry, and `entry` tells its size alone. None fits: absent.
  std::span<const EntryKind> kinds = {};
};

// A row of find_geometry(), in a file of its own.
[[nodiscard]] const PageGeometry* find_short_geometry(std::string_view name);

// Of the table at `level`, 0 being the topmost.
[[nodiscard]] Descriptor decode(const PageGeometry& geometry, std::size_t level,
                                std::uint64_t entry);
[[nodiscard]] bool is_canonical(const PageGeometry& geometry, Va at);
// What the first entry of the topmost table is of.
[[nodiscard]] std::uint64_t lowest_address(const PageGeometry& geometry);

}  // namespace swat::os
