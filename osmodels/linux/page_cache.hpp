// Pages of files that the kernel keeps in memory, whether a process has touched them or not.
//
// Below the address_space of a file's inode there is a tree of nodes by page number: a radix tree
// until 4.19, an XArray since. Its leaves are struct pages, which lie as far apart as their frames.
// [include/linux/fs.h, radix-tree.h, xarray.h; include/asm-generic/memory_model.h]
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "osmodels/linux/kernel_layout.hpp"

namespace swat::os {

// Where one kernel build keeps what leads to a page, and where it has its struct pages now.
struct PageCacheLayout {
  // How a pointer to a node is told from one to a page: by its two low bits, or, until 2.6.19, only
  // by the height of the tree, which the word before the root has.
  enum class Nodes : std::uint8_t { kUntagged = 0, kRadixTree = 1, kXArray = 2 };

  std::uint32_t inode_mapping = 0;  // inode.i_mapping
  std::uint32_t mapping_root = 0;   // address_space.i_pages.xa_head, page_tree.rnode
  Nodes nodes = Nodes::kXArray;
  std::uint32_t node_slots = 0;  // xa_node.slots, radix_tree_node.slots
  unsigned node_bits = 6;        // of a page's number, that one node decodes
  std::uint32_t page_bytes = 0;  // sizeof(struct page)
  std::uint32_t page_mapping = 0;
  std::uint32_t page_index = 0;
  Va page_of_frame_0;  // there need not be one
  // Frames, first and last, of which this is known to hold: where memory has holes, there may be
  // several arrays of struct pages.
  std::uint64_t first_frame = 0;
  std::uint64_t last_frame = 0;
};

// A page of a file that is mapped, by its page table.
struct MappedFilePage {
  Va inode;
  std::uint64_t index = 0;  // in the file, in pages of the kernel's
  Pa at;
};

// Finds out how this kernel does it: pages that are mapped are in the cache as well, and what leads
// to all of them there is taken for true. kNotFound: nothing does, or `known` are too few.
[[nodiscard]] Result<PageCacheLayout> infer_page_cache(VirtualMemory& kernel,
                                                       const KernelLayout& layout,
                                                       std::span<const MappedFilePage> known);

class PageCache {
 public:
  // `kernel` outlives this.
  PageCache(VirtualMemory& kernel, const KernelLayout& kernel_layout, const PageCacheLayout& layout)
      : kernel_(kernel), words_(kernel_layout), layout_(layout) {}

  // Of the file's page `index`, which says itself that it is that. kNotFound: it is not in memory.
  [[nodiscard]] Result<Pa> find(Va inode, std::uint64_t index);

  // The struct page that the tree has for `index`, or that of a larger page around it; nothing of
  // it is read. kNotFound: there is none.
  [[nodiscard]] Result<Va> find_page(Va mapping, std::uint64_t index);

 private:
  struct Node {
    Va at;
    unsigned shift = 0;  // of what its slots stand for
  };

  [[nodiscard]] Result<std::uint64_t> word(Va at) { return read_word(kernel_, at, words_); }
  [[nodiscard]] bool is_node(std::uint64_t entry) const;
  [[nodiscard]] Result<Node> node(std::uint64_t entry);
  [[nodiscard]] Result<std::optional<Node>> node_of(std::uint64_t entry, unsigned above);
  [[nodiscard]] Result<std::uint64_t> slot(const Node& node, std::uint64_t index);
  [[nodiscard]] Result<unsigned> root_shift(Va mapping);
  [[nodiscard]] std::uint64_t slots() const { return std::uint64_t{1} << layout_.node_bits; }
  [[nodiscard]] Result<Pa> frame_of(Va page) const;

  VirtualMemory& kernel_;
  KernelLayout words_;
  PageCacheLayout layout_;
};

}  // namespace swat::os
