// Page trees of each era as their sources describe them, and damaged ones: what PageCache makes of
// them. Real ones are in page_cache_dump_test.cpp.
#include "osmodels/linux/page_cache.hpp"

#include <gtest/gtest.h>

#include <map>

namespace swat::os {
namespace {

using Nodes = PageCacheLayout::Nodes;

constexpr Va kInode{0xffff888000100000};
constexpr Va kMapping{0xffff888000101000};
constexpr Va kTop{0xffff888000102000};
constexpr Va kLeaves{0xffff888000103000};
constexpr Va kPages{0xffffea0000000000};
constexpr std::uint64_t kPageBytes = 64;

PageCacheLayout layout_of(Nodes nodes) {
  PageCacheLayout layout;
  layout.inode_mapping = 0x30;
  layout.mapping_root = 0x10;
  layout.nodes = nodes;
  layout.node_slots = 0x28;
  layout.page_bytes = kPageBytes;
  layout.page_mapping = 0x18;
  layout.page_index = 0x20;
  layout.page_of_frame_0 = kPages;
  layout.last_frame = 0xffff;
  return layout;
}

// 64-bit words at a few addresses.
class Words final : public VirtualMemory {
 public:
  std::uint64_t& operator[](Va at) { return words_[at]; }
  Result<> read(Va at, std::span<std::byte> into) override {
    const Va word{at.value & ~std::uint64_t{7}};
    const auto known = words_.find(word);
    if (known == words_.end() || into.size() > 8) return fail(Errc::kFault, "absent", at.value);
    const auto bytes = std::as_bytes(std::span(&known->second, 1)).subspan(at - word);
    std::copy_n(bytes.begin(), into.size(), into.begin());
    return {};
  }

 private:
  std::map<Va, std::uint64_t> words_;
};

class PageTree : public testing::Test {
 protected:
  PageTree() { words[kInode + 0x30] = kMapping.value; }

  // The struct page of a frame, which holds the file's page `index`.
  std::uint64_t page(std::uint64_t frame, std::uint64_t index) {
    const Va at = kPages + frame * kPageBytes;
    words[at + 0x18] = kMapping.value;
    words[at + 0x20] = index;
    return at.value;
  }
  void root(std::uint64_t entry) { words[kMapping + 0x10] = entry; }
  void node(Va at, std::uint64_t first_word) { words[at] = first_word; }
  void slot(Va node, std::uint64_t number, std::uint64_t entry) {
    words[node + 0x28 + 8 * number] = entry;
  }
  // 0: none.
  std::uint64_t frame_at(Nodes nodes, std::uint64_t index) {
    PageCache cache(words, kX86_64Layout, layout_of(nodes));
    return cache.find(kInode, index).value_or(Pa{}).value >> 12;
  }

  Words words;
};

TEST_F(PageTree, OfOnePageIsThatPage) {
  root(page(7, 0));
  for (const Nodes nodes : {Nodes::kXArray, Nodes::kRadixTree}) {
    EXPECT_EQ(frame_at(nodes, 0), 7u);
    EXPECT_EQ(frame_at(nodes, 1), 0u);
  }
  words[kMapping + 0x08] = 0;  // height
  EXPECT_EQ(frame_at(Nodes::kUntagged, 0), 7u);
}

TEST_F(PageTree, OfAnXArrayHasShiftsAndTagsInAllNodes) {
  root(kTop.value | 2);
  node(kTop, 6);
  node(kLeaves, 0);
  slot(kTop, 1, kLeaves.value | 2);
  slot(kLeaves, 5, page(9, 64 + 5));
  slot(kLeaves, 6, 0x1001);  // swapped out
  EXPECT_EQ(frame_at(Nodes::kXArray, 64 + 5), 9u);
  EXPECT_EQ(frame_at(Nodes::kXArray, 64 + 6), 0u);
  EXPECT_EQ(frame_at(Nodes::kXArray, 5), 0u);
  EXPECT_EQ(frame_at(Nodes::kXArray, 64 * 64 + 64 + 5), 0u);  // beyond the tree
}

TEST_F(PageTree, OfAnXArrayHasLargePages) {
  root(kTop.value | 2);
  node(kTop, 6);
  node(kLeaves, 0);
  slot(kTop, 0, kLeaves.value | 2);
  slot(kLeaves, 4, page(16, 4));
  for (const std::uint64_t later : {5, 6, 7}) slot(kLeaves, later, 4 << 2 | 2);
  slot(kTop, 1, page(128, 64));  // 64 pages
  EXPECT_EQ(frame_at(Nodes::kXArray, 4), 16u);
  EXPECT_EQ(frame_at(Nodes::kXArray, 7), 19u);
  EXPECT_EQ(frame_at(Nodes::kXArray, 64 + 63), 128u + 63);
}

TEST_F(PageTree, OfARadixTreeHasItsTagInTheRootAlone) {
  root(kTop.value | 1);
  node(kTop, 2);  // height
  slot(kTop, 1, kLeaves.value);
  slot(kLeaves, 5, page(9, 64 + 5));
  EXPECT_EQ(frame_at(Nodes::kRadixTree, 64 + 5), 9u);
}

TEST_F(PageTree, OfALateRadixTreeHasItsTagInAllNodes) {
  root(kTop.value | 1);
  node(kTop, 6);
  node(kLeaves, 0);
  slot(kTop, 1, kLeaves.value | 1);
  slot(kLeaves, 5, page(9, 64 + 5));
  EXPECT_EQ(frame_at(Nodes::kRadixTree, 64 + 5), 9u);
}

TEST_F(PageTree, OfOldKernelsHasItsHeightBesideTheRoot) {
  words[kMapping + 0x08] = 2;
  root(kTop.value);
  slot(kTop, 1, kLeaves.value);
  slot(kLeaves, 5, page(9, 64 + 5));
  EXPECT_EQ(frame_at(Nodes::kUntagged, 64 + 5), 9u);
  words[kMapping + 0x08] = 1000;
  EXPECT_EQ(frame_at(Nodes::kUntagged, 64 + 5), 0u);
}

TEST_F(PageTree, OfAnotherFileOrIndexIsNotBelieved) {
  root(page(7, 3));
  EXPECT_EQ(frame_at(Nodes::kXArray, 0), 0u);
  words[Va{page(7, 0)} + 0x18] = kMapping.value + 8;
  EXPECT_EQ(frame_at(Nodes::kXArray, 0), 0u);
}

TEST_F(PageTree, ThatLeadsBackIntoItselfEnds) {
  root(kTop.value | 2);
  node(kTop, 6);
  slot(kTop, 0, kTop.value | 2);
  EXPECT_EQ(frame_at(Nodes::kXArray, 0), 0u);
  slot(kTop, 0, 0 << 2 | 2);  // its own sibling
  EXPECT_EQ(frame_at(Nodes::kXArray, 0), 0u);
}

TEST(InferPageCache, WantsMoreThanAFewPages) {
  Words words;
  const std::vector<MappedFilePage> few(7, {kInode, 1, Pa{0x7000}});
  EXPECT_EQ(infer_page_cache(words, kX86_64Layout, few).error().code, Errc::kNotFound);
  const std::vector<MappedFilePage> absent(8, {kInode, 1, Pa{0x7000}});
  EXPECT_EQ(infer_page_cache(words, kX86_64Layout, absent).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::os
