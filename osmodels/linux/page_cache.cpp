#include "osmodels/linux/page_cache.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kTagBits = 3;
constexpr unsigned kHighestShift = 48;
constexpr std::size_t kMostLevels = 16;

Error no_page(Va mapping) { return {Errc::kNotFound, "not in the page cache", mapping.value}; }

}  // namespace

bool PageCache::is_node(std::uint64_t entry) const {
  const auto tag = static_cast<std::uint64_t>(layout_.nodes);
  return tag != 0 && (entry & kTagBits) == tag;
}

// A node begins with its shift (since 4.7), or with its height, which is 1 for one of leaves.
// [lib/radix-tree.c]
Result<PageCache::Node> PageCache::node(std::uint64_t entry) {
  const Va at{entry & ~kTagBits};
  const unsigned first = SWAT_TRY(read_as<std::uint8_t>(kernel_, at));
  const unsigned bits = layout_.node_bits;
  const unsigned shift = first % bits == 0 ? first : (first - 1) * bits;
  if (shift > kHighestShift) return fail(Errc::kBadImage, "no node of a page tree", at.value);
  return Node{at, shift};
}

// None: the entry is a page, or nothing. A radix tree's nodes had no tags below the root,
// until 4.6.
Result<std::optional<PageCache::Node>> PageCache::node_of(std::uint64_t entry, unsigned above) {
  if (is_node(entry)) return SWAT_TRY(node(entry));
  const bool is_page = layout_.nodes == PageCacheLayout::Nodes::kXArray || above == 0;
  if (is_page || !words_.is_pointer(entry)) return std::nullopt;
  return Node{Va{entry}, above - layout_.node_bits};
}

// Of a large page the later slots tell in which its first one is. [include/linux/xarray.h]
Result<std::uint64_t> PageCache::slot(const Node& node, std::uint64_t index) {
  const auto read = [&](std::uint64_t number) {
    return word(node.at + layout_.node_slots + number * words_.word_bytes);
  };
  const std::uint64_t entry = SWAT_TRY(read(index & (slots() - 1)));
  const bool is_sibling = is_node(entry) && entry >> 2 < slots();
  return is_sibling ? read(entry >> 2) : Result<std::uint64_t>(entry);
}

// What the root stands for where its tag does not tell: {unsigned int height, gfp_t, root}.
Result<unsigned> PageCache::root_shift(Va mapping) {
  constexpr unsigned kHeightBefore = 8;
  if (layout_.nodes != PageCacheLayout::Nodes::kUntagged) return 0;
  if (layout_.mapping_root < kHeightBefore) return tl::unexpected(no_page(mapping));
  const Va at = mapping + (layout_.mapping_root - kHeightBefore);
  const auto height = SWAT_TRY(read_as<std::uint32_t>(kernel_, at));
  if (height <= kHighestShift / layout_.node_bits) return height * layout_.node_bits;
  return fail(Errc::kBadImage, "no height of a page tree", at.value);
}

Result<Va> PageCache::find_page(Va mapping, std::uint64_t index) {
  std::uint64_t entry = SWAT_TRY(word(mapping + layout_.mapping_root));
  unsigned above = SWAT_TRY(root_shift(mapping));
  std::uint64_t pages = 1;  // that the tree has room for
  for (std::size_t level = 0; level < kMostLevels; ++level) {
    const auto below = SWAT_TRY(node_of(entry, above));
    if (!below) break;
    if (level == 0) pages = slots() << below->shift;
    if (level > 0 && below->shift >= above) return tl::unexpected(no_page(mapping));
    above = below->shift;
    entry = SWAT_TRY(slot(*below, index >> above));
  }
  if (index < pages && words_.is_pointer(entry)) return Va{entry};
  return tl::unexpected(no_page(mapping));  // empty, or swapped out
}

Result<Pa> PageCache::frame_of(Va page) const {
  const std::uint64_t mask = words_.word_bytes == 4 ? 0xffffffff : ~std::uint64_t{0};
  const std::uint64_t distance = (page.value - layout_.page_of_frame_0.value) & mask;
  const std::uint64_t frame = distance / layout_.page_bytes;
  const bool is_one = distance % layout_.page_bytes == 0;
  if (is_one && frame >= layout_.first_frame && frame <= layout_.last_frame) {
    return Pa{frame << words_.page_shift};
  }
  return fail(Errc::kNotFound, "no page whose frame is known", page.value);
}

Result<Pa> PageCache::find(Va inode, std::uint64_t index) {
  const Va mapping{SWAT_TRY(word(inode + layout_.inode_mapping))};
  const Va page = SWAT_TRY(find_page(mapping, index));
  const std::uint64_t of = SWAT_TRY(word(page + layout_.page_mapping));
  const std::uint64_t first = SWAT_TRY(word(page + layout_.page_index));
  // Of a large page the first struct page says it for all.
  constexpr std::uint64_t kMostPages = std::uint64_t{1} << 18;
  const bool is_it = of == mapping.value && first <= index && index - first < kMostPages;
  if (!is_it) return tl::unexpected(no_page(mapping));
  return frame_of(page + (index - first) * layout_.page_bytes);
}

}  // namespace swat::os
