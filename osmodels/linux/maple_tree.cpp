#include "osmodels/linux/maple_tree.hpp"

#include "osmodels/linux/blob.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kNodeBytes = 256;
constexpr std::uint64_t kTagBits = 3;
constexpr std::uint64_t kInternalTag = 2;
// Values below a page with the internal tag are reserved markers (XArray zero entries, errors).
constexpr std::uint64_t kLowestPointer = 4096;
// A tree of the highest order Linux builds has 31 levels [MAPLE_HEIGHT_MAX]; with at least five
// entries a node, eleven levels hold more than the 65530 mappings of the default limit many times.
constexpr unsigned kMaxDepth = 12;

struct NodeShape {
  unsigned word_bytes;
  std::uint64_t type;
  bool leaf;
  std::size_t slots;
};

constexpr NodeShape kShapes[] = {
    {8, 1, true, 16},   // maple_leaf_64
    {8, 2, false, 16},  // maple_range_64
    {8, 3, false, 10},  // maple_arange_64
    {4, 1, true, 32},  {4, 2, false, 32}, {4, 3, false, 21},
};

const NodeShape* shape_of(std::uint64_t tagged, unsigned word_bytes) {
  const auto* found = std::ranges::find_if(kShapes, [&](const NodeShape& shape) {
    return shape.word_bytes == word_bytes && shape.type == (tagged >> 3 & 0xf);
  });
  return found == std::end(kShapes) ? nullptr : found;
}

class MapleWalk {
 public:
  MapleWalk(VirtualMemory& kernel, std::size_t max_entries, unsigned word_bytes)
      : kernel_(kernel), max_entries_(max_entries), word_bytes_(word_bytes) {}

  Result<> node(std::uint64_t tagged, std::uint64_t first, std::uint64_t last, unsigned depth) {
    const Va at = Va{tagged}.aligned_down(kNodeBytes);
    const NodeShape* shape = shape_of(tagged, word_bytes_);
    if (shape == nullptr || tagged < kLowestPointer) {
      return fail(Errc::kBadImage, "no node of a maple tree", at.value);
    }
    // Every entry lies in a node and a node holds ten slots or more, so this ends loops too.
    if (depth >= kMaxDepth || ++nodes_ > max_entries_ + 1) {
      return fail(Errc::kBadImage, "maple tree without an end", at.value);
    }
    const Blob words{at, SWAT_TRY(read_bytes(kernel_, at, kNodeBytes)), word_bytes_};
    const auto pivot = [&](std::size_t i) { return words.word((1 + i) * word_bytes_); };
    std::uint64_t from = first;
    for (std::size_t i = 0; i < shape->slots; ++i) {
      const bool has_pivot = i + 1 < shape->slots && (i == 0 || pivot(i) != 0);
      // The last slot in use may have no pivot: it ends where the node does. [mas_logical_pivot]
      const std::uint64_t to = has_pivot ? pivot(i) : last;
      if (to < from || to > last) return fail(Errc::kBadImage, "maple pivots disorder", at.value);
      SWAT_CHECK(slot(words.word((shape->slots + i) * word_bytes_), *shape, from, to, depth));
      if (to == last) return {};
      from = to + 1;
    }
    return {};
  }

  std::vector<MapleEntry> take() { return std::move(found_); }

 private:
  Result<> slot(std::uint64_t value, const NodeShape& shape, std::uint64_t from, std::uint64_t to,
                unsigned depth) {
    if (value == 0) return {};
    if (!shape.leaf) return node(value, from, to, depth + 1);
    if ((value & kTagBits) == kInternalTag && value < kLowestPointer) return {};
    if (found_.size() >= max_entries_) {
      return fail(Errc::kBadImage, "maple tree with too many entries");
    }
    found_.push_back({from, to, Va{value}});
    return {};
  }

  VirtualMemory& kernel_;
  std::size_t max_entries_;
  unsigned word_bytes_;
  std::size_t nodes_ = 0;
  std::vector<MapleEntry> found_;
};

}  // namespace

bool is_maple_node(std::uint64_t root) {
  return (root & kTagBits) == kInternalTag && root >= kLowestPointer;
}

Result<std::vector<MapleEntry>> read_maple_tree(VirtualMemory& kernel, std::uint64_t root,
                                                std::size_t max_entries,
                                                const KernelLayout& layout) {
  if (root == 0) return std::vector<MapleEntry>{};
  if (!is_maple_node(root)) {  // one entry that covers index 0 alone [mas_root]
    if ((root & kTagBits) == kInternalTag) return fail(Errc::kBadImage, "reserved maple root");
    return std::vector<MapleEntry>{{0, 0, Va{root}}};
  }
  MapleWalk walk(kernel, max_entries, layout.word_bytes);
  const std::uint64_t last = ~std::uint64_t{0} >> (64 - 8 * layout.word_bytes);
  SWAT_CHECK(walk.node(root, 0, last, 0));
  return walk.take();
}

}  // namespace swat::os
