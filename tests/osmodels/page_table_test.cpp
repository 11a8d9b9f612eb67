#include "osmodels/page_table.hpp"

#include <gtest/gtest.h>

#include <string>

#include "memory_fakes.hpp"
#include "osmodels/windows/absent_pages.hpp"

namespace swat::os {
namespace {

using test::ArrayRam;

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kWritable = 2;
constexpr std::uint64_t kUser = 4;
constexpr std::uint64_t kLarge = 0x80;
constexpr std::uint64_t kNoExecute = std::uint64_t{1} << 63;
constexpr std::uint64_t kRoot = 0x1000;
constexpr std::size_t kRamBytes = 1 << 20;

// How the manual says that an address is taken apart; kept apart from the code under test.
// [Intel SDM vol. 3, figures 4-2, 4-5, 4-8, 4-11]
struct Shape {
  std::string_view geometry;
  std::uint64_t va;                    // one whose indices all differ
  std::vector<std::uint64_t> indices;  // of `va`, from the root down
  std::size_t entry_bytes;
  std::size_t first_with_rights;     // level
  std::vector<std::uint64_t> large;  // page size a large entry maps at each level; 0: none
};

const Shape kShapes[] = {
    {"x86_64-4level",
     0xffff'8180'c080'5123 & ~0xfffull,
     {0x103, 3, 4, 5},
     8,
     0,
     {0, 1 << 30, 2 << 20, 0}},
    {"x86_64-5level",
     0xff02'0180'c080'5000,
     {0x102, 3, 3, 4, 5},
     8,
     0,
     {0, 0, 1 << 30, 2 << 20, 0}},
    {"i386", 0xc180'5000, {0x306, 5}, 4, 0, {4 << 20, 0}},
    {"i386-pae", 0xc080'5000, {3, 4, 5}, 8, 1, {0, 2 << 20, 0}},
};

class PageTable : public testing::TestWithParam<Shape> {
 protected:
  void store(std::uint64_t table, std::uint64_t index, std::uint64_t entry) {
    const Shape& shape = GetParam();
    if (shape.entry_bytes == 4) {
      ram_.store(table + index * 4, static_cast<std::uint32_t>(entry));
    } else {
      ram_.store(table + index * 8, entry);
    }
  }

  [[nodiscard]] std::uint64_t table(std::size_t level) const { return kRoot + level * 0x1000; }

  // Tables down to `level`, whose entry is `entry`.
  void build(std::size_t level, std::uint64_t entry) {
    const Shape& shape = GetParam();
    for (std::size_t i = 0; i < level; ++i) {
      const std::uint64_t rights = i >= shape.first_with_rights ? kUser | kWritable : 0;
      store(table(i), shape.indices[i], table(i + 1) | kPresent | rights);
    }
    store(table(level), shape.indices[level], entry);
  }

  AddressSpace space() { return {ram_, *find_geometry(GetParam().geometry), Pa{kRoot}}; }
  [[nodiscard]] std::size_t last() const { return GetParam().indices.size() - 1; }
  [[nodiscard]] Va va() const { return Va{GetParam().va}; }

  ArrayRam ram_{kRamBytes};
};

TEST_P(PageTable, TranslatesASmallPage) {
  build(last(), 0x42000 | kPresent | kUser);
  AddressSpace under_test = space();
  const auto found = under_test.translate(va() + 0x345);
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ(found->at, Pa{0x42345});
  EXPECT_EQ(found->page_bytes, 4096u);
  EXPECT_TRUE(found->user);
  EXPECT_FALSE(found->writable);
  EXPECT_TRUE(found->executable);
}

TEST_P(PageTable, TranslatesLargePagesOfEveryLevel) {
  for (std::size_t level = 0; level < GetParam().large.size(); ++level) {
    const std::uint64_t bytes = GetParam().large[level];
    if (bytes == 0) continue;
    ram_ = ArrayRam(kRamBytes);
    const std::uint64_t pat_bit = 0x1000;  // bit 12 is no address bit of a large page
    build(level, bytes * 2 | pat_bit | kPresent | kLarge | kUser | kWritable);
    AddressSpace under_test = space();
    const auto found = under_test.translate(va() + 0x345);
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(found->at, Pa{bytes * 2 + ((GetParam().va + 0x345) & (bytes - 1))});
    EXPECT_EQ(found->page_bytes, bytes);
    EXPECT_TRUE(found->writable);
  }
}

TEST_P(PageTable, CombinesTheRightsOfAllLevels) {
  ASSERT_GE(GetParam().indices.size() - GetParam().first_with_rights, 2u);
  build(last(), 0x42000 | kPresent | kUser | kWritable);
  store(table(last() - 1), GetParam().indices[last() - 1], table(last()) | kPresent | kWritable);
  AddressSpace under_test = space();
  const auto found = under_test.translate(va());
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->user);
  EXPECT_TRUE(found->writable);
}

TEST_P(PageTable, KnowsNoExecute) {
  const bool has_it = GetParam().entry_bytes == 8;  // bit 63
  build(last(), 0x42000 | kPresent | (has_it ? kNoExecute : 0));
  AddressSpace under_test = space();
  EXPECT_EQ(under_test.translate(va())->executable, !has_it);
}

TEST_P(PageTable, FaultsWhereAnyLevelIsNotPresent) {
  for (std::size_t level = 0; level <= last(); ++level) {
    ram_ = ArrayRam(kRamBytes);
    build(level, 0x42000);
    AddressSpace under_test = space();
    const auto found = under_test.translate(va());
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::kFault);
    EXPECT_EQ(found.error().guest, GetParam().va);
  }
}

// [MMPTE_TRANSITION: bit 11, without bit 10, and the frame where a present entry has it]
TEST_P(PageTable, ReadsAPageInTransition) {
  constexpr std::uint64_t kTransition = 0x800;
  constexpr std::uint64_t kPrototype = 0x400;
  ram_.store(0x8000, std::uint32_t{0x600d});
  const auto read = [&] {
    AddressSpace windows(ram_, *find_geometry(GetParam().geometry), Pa{kRoot},
                         windows::page_in_transition);
    return read_as<std::uint32_t>(windows, va());
  };
  build(last(), 0x8000 | kTransition);
  EXPECT_EQ(read(), 0x600dU);
  EXPECT_EQ(space().translate(va()).error().code, Errc::kFault);
  build(last(), 0x8000 | kTransition | kPrototype);
  EXPECT_EQ(read().error().code, Errc::kFault);
  build(last(), kRamBytes | kTransition);
  EXPECT_EQ(read().error().code, Errc::kFault);
  build(last() - 1, 0x8000 | kTransition);  // a table that is not present
  EXPECT_EQ(read().error().code, Errc::kFault);
}

TEST_P(PageTable, FaultsWhereATableOrPageIsNotInRam) {
  for (std::size_t level = 0; level <= last(); ++level) {
    ram_ = ArrayRam(kRamBytes);
    build(level, 0x7ffff000 | kPresent);
    AddressSpace under_test = space();
    const auto byte = read_as<std::uint8_t>(under_test, va() + 1);
    ASSERT_FALSE(byte);
    EXPECT_EQ(byte.error().code, Errc::kFault);
    EXPECT_EQ(byte.error().guest, GetParam().va + 1);
  }
}

TEST_P(PageTable, ReadsAcrossPagesAndNamesTheOneThatFaults) {
  build(last(), 0x42000 | kPresent);
  store(table(last()), GetParam().indices[last()] + 1, 0x17000 | kPresent);
  ram_.store<std::uint32_t>(0x42ffc, 0x11111111);
  ram_.store<std::uint32_t>(0x17000, 0x22222222);
  AddressSpace under_test = space();
  EXPECT_EQ(read_as<std::uint64_t>(under_test, va() + 0xffc).value_or(0), 0x2222222211111111u);
  std::array<std::byte, 16> into;
  const auto beyond = under_test.read(va() + 0x1ff8, into);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().guest, GetParam().va + 0x2000);
}

TEST_P(PageTable, AsksRamOnceForAPageUntilItForgets) {
  build(last(), 0x42000 | kPresent);
  AddressSpace under_test = space();
  ASSERT_TRUE(under_test.translate(va()));
  const std::size_t before = ram_.reads;
  ASSERT_TRUE(under_test.translate(va() + 8));
  EXPECT_EQ(ram_.reads, before);
  build(last(), 0x43000 | kPresent);
  under_test.forget();
  EXPECT_EQ(under_test.translate(va())->at, Pa{0x43000});
}

TEST_P(PageTable, VisitsEveryLeafOfARangeInOrder) {
  build(last(), 0x42000 | kPresent);
  store(table(last()), GetParam().indices[last()] + 1, 0x17000 | kPresent);
  store(table(last()), GetParam().indices[last()] + 3, 0x18000 | kPresent);
  store(table(last()), 0, 0x19000 | kPresent);  // below the range
  AddressSpace under_test = space();
  std::vector<std::pair<Va, Pa>> seen;
  ASSERT_TRUE(under_test.for_each_leaf({va(), va() + 0x3000}, [&](Va at, const Translation& to) {
    seen.emplace_back(at, to.at);
    return true;
  }));
  const std::vector<std::pair<Va, Pa>> expected = {{va(), Pa{0x42000}},
                                                   {va() + 0x1000, Pa{0x17000}}};
  EXPECT_EQ(seen, expected);
}

TEST_P(PageTable, StopsWhenTheVisitorHasSeenEnough) {
  build(last(), 0x42000 | kPresent);
  store(table(last()), GetParam().indices[last()] + 1, 0x17000 | kPresent);
  AddressSpace under_test = space();
  int seen = 0;
  ASSERT_TRUE(under_test.for_each_leaf({va(), va() + 0x2000}, [&](Va, const Translation&) {
    ++seen;
    return false;
  }));
  EXPECT_EQ(seen, 1);
}

TEST_P(PageTable, EndsOnATableThatIsItsOwnChild) {
  const std::size_t entries = 4096 / GetParam().entry_bytes;
  for (std::size_t i = 0; i < entries; ++i) {
    store(kRoot, i, kRoot | kPresent | kUser | kWritable);
  }
  AddressSpace under_test = space();
  EXPECT_TRUE(under_test.translate(va()));  // it is a page, too
  std::uint64_t leaves = 0;
  const auto walked = under_test.for_each_leaf({Va{0}, Va{0} - 1}, [&](Va, const Translation&) {
    ++leaves;
    return true;
  });
  EXPECT_TRUE(walked || walked.error().code == Errc::kBadImage);
  EXPECT_LE(leaves, std::uint64_t{1} << 25);
}

std::string test_name(const testing::TestParamInfo<Shape>& shape) {
  std::string name(shape.param.geometry);
  std::ranges::replace(name, '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Geometries, PageTable, testing::ValuesIn(kShapes), test_name);

TEST(PageTable, RefusesWhatIsNoCanonicalAddress) {
  ArrayRam ram(kRamBytes);
  for (std::uint64_t i = 0; i < 512; ++i) ram.store(kRoot + i * 8, kRoot | kPresent);
  AddressSpace four(ram, *find_geometry("x86_64-4level"), Pa{kRoot});
  EXPECT_TRUE(four.translate(Va{0x7fff'ffff'f000}));
  EXPECT_FALSE(four.translate(Va{0x8000'0000'0000}));
  EXPECT_FALSE(four.translate(Va{0xffff'7fff'ffff'f000}));
  EXPECT_TRUE(four.translate(Va{0xffff'8000'0000'0000}));
  AddressSpace pae(ram, *find_geometry("i386-pae"), Pa{kRoot});
  EXPECT_FALSE(pae.translate(Va{0x1'0000'0000}));
}

TEST(PageTable, FindsNoGeometryThatDoesNotExist) { EXPECT_EQ(find_geometry("vax"), nullptr); }

}  // namespace
}  // namespace swat::os
