#include "osmodels/linux/maple_tree.hpp"

#include <gtest/gtest.h>

#include "memory_fakes.hpp"

namespace swat::os {

bool operator==(const MapleEntry& a, const MapleEntry& b) {
  return a.first == b.first && a.last == b.last && a.entry == b.entry;
}

namespace {

using test::WordMemory;

constexpr std::uint64_t kNode = 0xffff'8880'0001'0000;
constexpr std::uint64_t kVma = 0xffff'8880'0002'0000;
constexpr std::uint64_t kMax = ~std::uint64_t{0};
constexpr std::size_t kMany = 1000;

enum Type : std::uint64_t { kDense, kLeaf64, kRange64, kArange64 };

// As mt_mk_node and mte_mk_root make them. [lib/maple_tree.c]
std::uint64_t child(std::uint64_t node, Type type) { return node | type << 3 | 4; }
std::uint64_t root(std::uint64_t node, Type type) { return child(node, type) | 2; }

// struct maple_range_64 (16 slots) and maple_arange_64 (10). [include/linux/maple_tree.h]
void store_node(WordMemory& memory, std::uint64_t node, Type type,
                const std::vector<std::uint64_t>& pivots, const std::vector<std::uint64_t>& slots) {
  const std::size_t slot_count = type == kArange64 ? 10 : 16;
  for (std::size_t i = 0; i < 32; ++i) memory.store(node + i * 8, 0);
  memory.store(node, 0xffff'8880'dead'0001);  // parent
  for (std::size_t i = 0; i < pivots.size(); ++i) memory.store(node + 8 + i * 8, pivots[i]);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    memory.store(node + (slot_count + i) * 8, slots[i]);
  }
}

TEST(MapleTree, IsEmptyWithoutARoot) {
  WordMemory memory;
  EXPECT_TRUE(read_maple_tree(memory, 0, kMany, kX86_64Layout)->empty());
}

TEST(MapleTree, HoldsOneEntryAtIndexZeroWhenTheRootIsNoNode) {
  WordMemory memory;
  const auto entries = read_maple_tree(memory, kVma, kMany, kX86_64Layout);
  EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0, 0, Va{kVma}}}));
}

TEST(MapleTree, ReadsALeafWithGaps) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0xfff, 0x2fff, 0x3fff, 0x5fff, kMax},
             {0, kVma, 0, kVma + 0x100, 0});
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany, kX86_64Layout);
  ASSERT_TRUE(entries) << entries.error().what;
  EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0x1000, 0x2fff, Va{kVma}},
                                               {0x4000, 0x5fff, Va{kVma + 0x100}}}));
}

// mas_wr_append writes a zero pivot behind the last entry; what lies behind that is old.
TEST(MapleTree, TakesAZeroPivotForTheEndOfTheNode) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0xfff, 0x2fff, 0, 0x7777},
             {0, kVma, kVma + 0x100, 0x1234567});
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany, kX86_64Layout);
  ASSERT_TRUE(entries) << entries.error().what;
  EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0x1000, 0x2fff, Va{kVma}},
                                               {0x3000, kMax, Va{kVma + 0x100}}}));
}

TEST(MapleTree, ReadsAFullLeafWhoseLastSlotHasNoPivot) {
  WordMemory memory;
  std::vector<std::uint64_t> pivots;
  std::vector<std::uint64_t> slots;
  for (std::uint64_t i = 0; i < 16; ++i) {
    if (i < 15) pivots.push_back(i * 0x1000 + 0xfff);
    slots.push_back(kVma + i * 0x100);
  }
  store_node(memory, kNode, kLeaf64, pivots, slots);
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany, kX86_64Layout);
  ASSERT_TRUE(entries) << entries.error().what;
  ASSERT_EQ(entries->size(), 16u);
  EXPECT_EQ(entries->back(), (MapleEntry{0xf000, kMax, Va{kVma + 0xf00}}));
}

TEST(MapleTree, IgnoresMetadataInTheLastSlot) {
  WordMemory memory;
  std::vector<std::uint64_t> slots(16);
  slots[1] = kVma;
  slots[15] = 0x0203;  // {end, gap}
  store_node(memory, kNode, kLeaf64, {0xfff, 0x1fff, kMax}, slots);
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany, kX86_64Layout);
  ASSERT_TRUE(entries) << entries.error().what;
  EXPECT_EQ(entries->size(), 1u);
}

TEST(MapleTree, DescendsThroughBothKindsOfInnerNodes) {
  for (const Type type : {kRange64, kArange64}) {
    WordMemory memory;
    store_node(memory, kNode, type, {0xffff, kMax},
               {child(kNode + 0x100, kLeaf64), child(kNode + 0x200, kLeaf64)});
    store_node(memory, kNode + 0x100, kLeaf64, {0xfff, 0x1fff, 0xffff}, {0, kVma, 0});
    store_node(memory, kNode + 0x200, kLeaf64, {0x1ffff, 0x2ffff, kMax}, {0, kVma + 0x100, 0});
    const auto entries = read_maple_tree(memory, root(kNode, type), kMany, kX86_64Layout);
    ASSERT_TRUE(entries) << entries.error().what;
    EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0x1000, 0x1fff, Va{kVma}},
                                                 {0x20000, 0x2ffff, Va{kVma + 0x100}}}));
  }
}

// 32-bit kernels: range nodes have 32 slots, arange nodes 21, of 4 bytes each; 31 and 20 pivots
// before them, and one word of the parent. [include/linux/maple_tree.h, "32bit sizes"]
class MapleTree32 : public testing::Test {
 protected:
  static constexpr std::uint64_t kNode32 = 0xc1a0'0000;
  static constexpr std::uint64_t kVma32 = 0xc1b0'0000;
  static constexpr std::uint64_t kMax32 = 0xffff'ffff;
  static constexpr KernelLayout kLayout{4, 0xc0000000, 4096};

  void store_node(std::uint64_t node, Type type, const std::vector<std::uint64_t>& pivots,
                  const std::vector<std::uint64_t>& slots) {
    std::vector<std::uint32_t> words(64);
    words[0] = 0xdead0001;  // parent
    const std::size_t first_slot = type == kArange64 ? 1 + 20 : 1 + 31;
    for (std::size_t i = 0; i < pivots.size(); ++i) {
      words[1 + i] = static_cast<std::uint32_t>(pivots[i]);
    }
    for (std::size_t i = 0; i < slots.size(); ++i) {
      words[first_slot + i] = static_cast<std::uint32_t>(slots[i]);
    }
    for (std::size_t i = 0; i < words.size(); i += 2) {
      memory.store(node + i * 4, words[i] | std::uint64_t{words[i + 1]} << 32);
    }
  }
  [[nodiscard]] Result<std::vector<MapleEntry>> read(Type type) {
    return read_maple_tree(memory, root(kNode32, type), kMany, kLayout);
  }

  WordMemory memory;
};

TEST_F(MapleTree32, ReadsALeafWithGaps) {
  store_node(kNode32, kLeaf64, {0xfff, 0x2fff, 0x3fff, 0x5fff, kMax32},
             {0, kVma32, 0, kVma32 + 0x80, 0});
  const auto entries = read(kLeaf64);
  ASSERT_TRUE(entries) << entries.error().what;
  EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0x1000, 0x2fff, Va{kVma32}},
                                               {0x4000, 0x5fff, Va{kVma32 + 0x80}}}));
}

TEST_F(MapleTree32, ReadsAFullLeafWhoseLastSlotHasNoPivot) {
  std::vector<std::uint64_t> pivots;
  std::vector<std::uint64_t> slots;
  for (std::uint64_t i = 0; i < 32; ++i) {
    if (i < 31) pivots.push_back(i * 0x1000 + 0xfff);
    slots.push_back(kVma32 + i * 0x80);
  }
  store_node(kNode32, kLeaf64, pivots, slots);
  const auto entries = read(kLeaf64);
  ASSERT_TRUE(entries) << entries.error().what;
  ASSERT_EQ(entries->size(), 32u);
  EXPECT_EQ(entries->back(), (MapleEntry{0x1f000, kMax32, Va{kVma32 + 31 * 0x80}}));
}

TEST_F(MapleTree32, DescendsThroughBothKindsOfInnerNodes) {
  for (const Type type : {kRange64, kArange64}) {
    store_node(kNode32, type, {0xffff, kMax32},
               {child(kNode32 + 0x100, kLeaf64), child(kNode32 + 0x200, kLeaf64)});
    store_node(kNode32 + 0x100, kLeaf64, {0xfff, 0x1fff, 0xffff}, {0, kVma32, 0});
    store_node(kNode32 + 0x200, kLeaf64, {0x1ffff, 0x2ffff, kMax32}, {0, kVma32 + 0x80, 0});
    const auto entries = read(type);
    ASSERT_TRUE(entries) << entries.error().what;
    EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0x1000, 0x1fff, Va{kVma32}},
                                                 {0x20000, 0x2ffff, Va{kVma32 + 0x80}}}));
  }
}

TEST_F(MapleTree32, EndsOnANodeThatIsItsOwnChild) {
  store_node(kNode32, kRange64, {0xfff, 0x1fff, kMax32},
             {child(kNode32, kRange64), child(kNode32, kRange64), child(kNode32, kRange64)});
  ASSERT_FALSE(read(kRange64));
  EXPECT_EQ(read(kRange64).error().code, Errc::kBadImage);
}

TEST(MapleTree, SkipsReservedEntries) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0xfff, 0x1fff, kMax}, {0x40e, kVma, 0x102});
  EXPECT_EQ(read_maple_tree(memory, root(kNode, kLeaf64), kMany, kX86_64Layout)->size(), 1u);
}

TEST(MapleTree, EndsOnANodeThatIsItsOwnChild) {
  WordMemory memory;
  for (const Type type : {kRange64, kArange64}) {
    std::vector<std::uint64_t> pivots;
    std::vector<std::uint64_t> slots;
    for (std::uint64_t i = 0; i < 9; ++i) {
      pivots.push_back(i == 8 ? kMax : i);
      slots.push_back(child(kNode, type));
    }
    store_node(memory, kNode, type, pivots, slots);
    const auto entries = read_maple_tree(memory, root(kNode, type), kMany, kX86_64Layout);
    ASSERT_FALSE(entries);
    EXPECT_EQ(entries.error().code, Errc::kBadImage);
  }
}

TEST(MapleTree, RefusesTypesThatNoAddressSpaceHas) {
  WordMemory memory;
  for (std::uint64_t type = 4; type < 16; ++type) {
    store_node(memory, kNode, kLeaf64, {kMax}, {kVma});
    EXPECT_FALSE(
        read_maple_tree(memory, root(kNode, static_cast<Type>(type)), kMany, kX86_64Layout));
  }
  EXPECT_FALSE(read_maple_tree(memory, root(kNode, kDense), kMany, kX86_64Layout));
}

TEST(MapleTree, RefusesPivotsThatDoNotRise) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0x2fff, 0x1fff, kMax}, {kVma, kVma, 0});
  EXPECT_FALSE(read_maple_tree(memory, root(kNode, kLeaf64), kMany, kX86_64Layout));
}

TEST(MapleTree, RefusesMoreEntriesThanAsked) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0xfff, 0x1fff, 0x2fff, kMax}, {kVma, kVma, kVma, 0});
  EXPECT_TRUE(read_maple_tree(memory, root(kNode, kLeaf64), 3, kX86_64Layout));
  EXPECT_FALSE(read_maple_tree(memory, root(kNode, kLeaf64), 2, kX86_64Layout));
}

TEST(MapleTree, FaultsOnANodeThatIsNotThere) {
  WordMemory memory;
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany, kX86_64Layout);
  ASSERT_FALSE(entries);
  EXPECT_EQ(entries.error().code, Errc::kFault);
}

}  // namespace
}  // namespace swat::os
