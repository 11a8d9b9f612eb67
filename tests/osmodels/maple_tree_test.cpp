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
  EXPECT_TRUE(read_maple_tree(memory, 0, kMany)->empty());
}

TEST(MapleTree, HoldsOneEntryAtIndexZeroWhenTheRootIsNoNode) {
  WordMemory memory;
  const auto entries = read_maple_tree(memory, kVma, kMany);
  EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0, 0, Va{kVma}}}));
}

TEST(MapleTree, ReadsALeafWithGaps) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0xfff, 0x2fff, 0x3fff, 0x5fff, kMax},
             {0, kVma, 0, kVma + 0x100, 0});
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany);
  ASSERT_TRUE(entries) << entries.error().what;
  EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0x1000, 0x2fff, Va{kVma}},
                                               {0x4000, 0x5fff, Va{kVma + 0x100}}}));
}

// mas_wr_append writes a zero pivot behind the last entry; what lies behind that is old.
TEST(MapleTree, TakesAZeroPivotForTheEndOfTheNode) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0xfff, 0x2fff, 0, 0x7777},
             {0, kVma, kVma + 0x100, 0x1234567});
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany);
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
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany);
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
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany);
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
    const auto entries = read_maple_tree(memory, root(kNode, type), kMany);
    ASSERT_TRUE(entries) << entries.error().what;
    EXPECT_EQ(*entries, (std::vector<MapleEntry>{{0x1000, 0x1fff, Va{kVma}},
                                                 {0x20000, 0x2ffff, Va{kVma + 0x100}}}));
  }
}

TEST(MapleTree, SkipsReservedEntries) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0xfff, 0x1fff, kMax}, {0x40e, kVma, 0x102});
  EXPECT_EQ(read_maple_tree(memory, root(kNode, kLeaf64), kMany)->size(), 1u);
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
    const auto entries = read_maple_tree(memory, root(kNode, type), kMany);
    ASSERT_FALSE(entries);
    EXPECT_EQ(entries.error().code, Errc::kBadImage);
  }
}

TEST(MapleTree, RefusesTypesThatNoAddressSpaceHas) {
  WordMemory memory;
  for (std::uint64_t type = 4; type < 16; ++type) {
    store_node(memory, kNode, kLeaf64, {kMax}, {kVma});
    EXPECT_FALSE(read_maple_tree(memory, root(kNode, static_cast<Type>(type)), kMany));
  }
  EXPECT_FALSE(read_maple_tree(memory, root(kNode, kDense), kMany));
}

TEST(MapleTree, RefusesPivotsThatDoNotRise) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0x2fff, 0x1fff, kMax}, {kVma, kVma, 0});
  EXPECT_FALSE(read_maple_tree(memory, root(kNode, kLeaf64), kMany));
}

TEST(MapleTree, RefusesMoreEntriesThanAsked) {
  WordMemory memory;
  store_node(memory, kNode, kLeaf64, {0xfff, 0x1fff, 0x2fff, kMax}, {kVma, kVma, kVma, 0});
  EXPECT_TRUE(read_maple_tree(memory, root(kNode, kLeaf64), 3));
  EXPECT_FALSE(read_maple_tree(memory, root(kNode, kLeaf64), 2));
}

TEST(MapleTree, FaultsOnANodeThatIsNotThere) {
  WordMemory memory;
  const auto entries = read_maple_tree(memory, root(kNode, kLeaf64), kMany);
  ASSERT_FALSE(entries);
  EXPECT_EQ(entries.error().code, Errc::kFault);
}

}  // namespace
}  // namespace swat::os
