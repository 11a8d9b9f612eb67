// The layout of the page cache, from pages that are known to be in it.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "osmodels/linux/blob.hpp"
#include "osmodels/linux/page_cache.hpp"

namespace swat::os {
namespace {

using Nodes = PageCacheLayout::Nodes;

constexpr std::size_t kFewest = 8;  // pages, and struct pages found for them
constexpr std::uint32_t kInodeBytes = 0x200;
constexpr std::uint32_t kMappingBytes = 0x80;
constexpr std::uint32_t kNodeBytes = 0x60;  // before its slots
constexpr std::uint64_t kLargestPage = 0x100;

// 4: kernels made small (CONFIG_BASE_SMALL). [include/linux/radix-tree.h]
constexpr unsigned kNodeBits[] = {6, 4};

bool are_nearly_all(std::size_t some, std::size_t all) { return some * 10 >= all * 9; }

class PageCacheInference {
 public:
  PageCacheInference(VirtualMemory& kernel, const KernelLayout& words,
                     std::span<const MappedFilePage> known)
      : kernel_(kernel), words_(words), known_(known.begin(), known.end()) {}

  Result<PageCacheLayout> run() {
    if (known_.size() < kFewest) return fail(Errc::kNotFound, "too few pages of files are mapped");
    if (!find_mappings()) return fail(Errc::kNotFound, "no i_mapping in the inodes");
    for (std::uint32_t root = words_.word_bytes; root < kMappingBytes; root += words_.word_bytes) {
      for (const Nodes nodes : {Nodes::kXArray, Nodes::kRadixTree, Nodes::kUntagged}) {
        found_.mapping_root = root;
        found_.nodes = nodes;
        if (may_be_roots() && try_nodes()) return found_;
      }
    }
    return fail(Errc::kNotFound, "no tree leads from files to their pages");
  }

 private:
  struct Leaf {
    const MappedFilePage* known;
    Va mapping;
    Blob page;
  };

  [[nodiscard]] std::uint64_t word(Va at) { return read_word(kernel_, at, words_).value_or(0); }

  // The first word of an address_space is its host. [include/linux/fs.h, since 2.5]
  bool find_mappings() {
    std::map<Va, Blob> inodes;
    for (const MappedFilePage& page : known_) {
      if (!inodes.contains(page.inode)) {
        inodes.emplace(page.inode, read_sparse(kernel_, page.inode, kInodeBytes, words_));
      }
    }
    for (std::uint32_t at = 0; at < kInodeBytes; at += words_.word_bytes) {
      const bool holds = std::ranges::all_of(inodes, [&](const auto& inode) {
        const std::uint64_t mapping = inode.second.word(at);
        return words_.is_pointer(mapping) && word(Va{mapping}) == inode.first.value;
      });
      if (!holds) continue;
      found_.inode_mapping = at;
      for (const auto& [inode, blob] : inodes) mappings_[inode] = Va{blob.word(at)};
      return true;
    }
    return false;
  }

  // Before trying all that could be below: whether these words are such pointers at all.
  bool may_be_roots() {
    constexpr std::uint64_t kTagBits = 3;
    std::size_t may = 0;
    for (const auto& [inode, mapping] : mappings_) {
      const std::uint64_t entry = word(mapping + found_.mapping_root);
      const std::uint64_t tag = entry & kTagBits;
      const bool fits = tag == 0 || tag == static_cast<std::uint64_t>(found_.nodes);
      may += fits && words_.is_pointer(entry - tag) ? 1 : 0;
    }
    return are_nearly_all(may, mappings_.size());
  }

  bool try_nodes() {
    for (const unsigned bits : kNodeBits) {
      for (std::uint32_t slots = words_.word_bytes; slots < kNodeBytes;
           slots += words_.word_bytes) {
        found_.node_bits = bits;
        found_.node_slots = slots;
        const std::vector<Leaf> leaves = find_leaves();
        if (leaves.size() >= kFewest && are_nearly_all(leaves.size(), known_.size()) &&
            find_frames(leaves) && find_members(leaves)) {
          return true;
        }
      }
    }
    return false;
  }

  std::vector<Leaf> find_leaves() {
    PageCache cache(kernel_, words_, found_);
    std::vector<Leaf> leaves;
    std::size_t missed = 0;
    for (const MappedFilePage& page : known_) {
      const Va mapping = mappings_.at(page.inode);
      const auto found = cache.find_page(mapping, page.index);
      if (found && words_.is_pointer(found->value)) {
        leaves.push_back({&page, mapping, read_sparse(kernel_, *found, kLargestPage, words_)});
        continue;
      }
      ++missed;
      if (missed > kFewest && missed * 10 > known_.size()) return {};
    }
    return leaves;
  }

  [[nodiscard]] std::uint64_t frame_of(const Leaf& leaf) const {
    return leaf.known->at.value >> words_.page_shift;
  }

  // How far apart struct pages are for frames next to each other: what most neighbours say.
  [[nodiscard]] std::optional<std::uint32_t> page_bytes(const std::vector<Leaf>& leaves) const {
    std::map<std::uint64_t, std::uint64_t> by_frame;
    for (const Leaf& leaf : leaves) by_frame[frame_of(leaf)] = leaf.page.at.value;
    if (by_frame.size() < kFewest) return {};
    std::map<std::uint64_t, std::size_t> votes;
    for (auto one = by_frame.begin(), next = std::next(one); next != by_frame.end();
         ++one, ++next) {
      const std::uint64_t frames = next->first - one->first;
      const std::uint64_t bytes = (next->second - one->second) & mask();
      if (bytes % frames == 0) ++votes[bytes / frames];
    }
    const auto most =
        std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
    if (most == votes.end() || most->first == 0 || most->first % 4 != 0) return {};
    if (most->first > kLargestPage) return {};
    return static_cast<std::uint32_t>(most->first);
  }

  [[nodiscard]] std::uint64_t mask() const {
    return words_.word_bytes == 4 ? 0xffffffff : ~std::uint64_t{0};
  }

  bool find_frames(const std::vector<Leaf>& leaves) {
    const auto bytes = page_bytes(leaves);
    if (!bytes) return false;
    std::map<std::uint64_t, std::set<std::uint64_t>> frames;  // by where frame 0's page would be
    for (const Leaf& leaf : leaves) {
      frames[(leaf.page.at.value - frame_of(leaf) * *bytes) & mask()].insert(frame_of(leaf));
    }
    const auto most =
        std::ranges::max_element(frames, {}, [](const auto& base) { return base.second.size(); });
    std::size_t all = 0;
    for (const auto& [base, of] : frames) all += of.size();
    if (most->second.size() < kFewest || !are_nearly_all(most->second.size(), all)) return false;
    found_.page_bytes = *bytes;
    found_.page_of_frame_0 = Va{most->first};
    limit_frames(*most->second.begin(), *most->second.rbegin());
    return true;
  }

  // 64-bit kernels have one array (SPARSEMEM_VMEMMAP); others may have one for each section, which
  // has 64 MiB or more. [asm/sparsemem.h of x86 and ARM]
  void limit_frames(std::uint64_t first, std::uint64_t last) {
    const std::uint64_t section = (std::uint64_t{64} << 20) >> words_.page_shift;
    const bool is_one_array = words_.word_bytes == 8;
    found_.first_frame = is_one_array ? 0 : first - first % section;
    found_.last_frame = is_one_array ? ~std::uint64_t{0} : last - last % section + (section - 1);
  }

  // The offset in struct page at which nearly all have `value`. Zeros are everywhere.
  template <class Value>
  [[nodiscard]] std::optional<std::uint32_t> member(const std::vector<Leaf>& leaves,
                                                    const Value& value) const {
    for (std::uint32_t at = 0; at < found_.page_bytes; at += words_.word_bytes) {
      std::size_t have = 0;
      std::size_t could = 0;
      for (const Leaf& leaf : leaves) {
        if (value(leaf) == 0) continue;
        ++could;
        have += leaf.page.word(at) == value(leaf) ? 1 : 0;
      }
      if (could >= kFewest && are_nearly_all(have, could)) return at;
    }
    return {};
  }

  bool find_members(const std::vector<Leaf>& leaves) {
    const auto mapping = member(leaves, [](const Leaf& leaf) { return leaf.mapping.value; });
    const auto index = member(leaves, [](const Leaf& leaf) { return leaf.known->index; });
    if (!mapping || !index) return false;
    found_.page_mapping = *mapping;
    found_.page_index = *index;
    return true;
  }

  VirtualMemory& kernel_;
  const KernelLayout& words_;
  std::vector<MappedFilePage> known_;
  std::map<Va, Va> mappings_;  // of inodes
  PageCacheLayout found_;
};

}  // namespace

Result<PageCacheLayout> infer_page_cache(VirtualMemory& kernel, const KernelLayout& layout,
                                         std::span<const MappedFilePage> known) {
  return PageCacheInference(kernel, layout, known).run();
}

}  // namespace swat::os
