// A read-only walk of a maple tree as Linux keeps one per address space since 6.1.
//
// A node is 256 bytes, aligned to 256; a pointer to one carries its type in bits 3 to 6 and bit 2
// set, that to the root bit 1 as well. Word 0 is the parent, then come
//                      64-bit kernels              32-bit kernels
//   leaf_64, range_64: 15 pivots, 16 slots         31 pivots, 32 slots
//   arange_64:          9 pivots, 10 slots, gaps   20 pivots, 21 slots, gaps
// The last slot of the former may hold metadata instead.
// Slot i covers (pivot[i-1], pivot[i]], both ends inclusive; the last slot in use may have
// no pivot (0 beyond the first, or none left) and then ends where the node does. Leaf slots hold
// entries or null.
// [include/linux/maple_tree.h, lib/maple_tree.c of Linux 6.1 and 6.12]
#pragma once

#include <cstdint>
#include <vector>

#include "osmodels/linux/kernel_layout.hpp"
#include "symbols/memory.hpp"

namespace swat::os {

struct MapleEntry {
  std::uint64_t first;  // index range, inclusive: addresses, in an address space's tree
  std::uint64_t last;
  Va entry;
};

// Entries in ascending order. `root` is the ma_root word. kBadImage: the words contradict the
// layout (wrong type, loop, more than `max_entries`); kFault: a node is not readable.
[[nodiscard]] Result<std::vector<MapleEntry>> read_maple_tree(VirtualMemory& kernel,
                                                              std::uint64_t root,
                                                              std::size_t max_entries,
                                                              const KernelLayout& layout);

// Whether a ma_root word names a node, as it does in every address space with two VMAs or more.
[[nodiscard]] bool is_maple_node(std::uint64_t root);

}  // namespace swat::os
