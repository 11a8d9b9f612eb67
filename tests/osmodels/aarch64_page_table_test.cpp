// Translation tables with long descriptors, taken apart as the manual's figures have it.
// [Arm ARM DDI 0487F, D5.2, figures D5-3 to D5-11; D5.3, figures D5-15 to D5-17]
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "memory_fakes.hpp"
#include "osmodels/page_table.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kRoot = 0x10000;
constexpr std::size_t kRamBytes = 1 << 20;
constexpr std::uint64_t kTable = 3;
constexpr std::uint64_t kPage = 3;
constexpr std::uint64_t kBlock = 1;
constexpr std::uint64_t kEl0 = 1 << 6;
constexpr std::uint64_t kReadOnly = 1 << 7;
constexpr std::uint64_t kPxn = std::uint64_t{1} << 53;
constexpr std::uint64_t kUxn = std::uint64_t{1} << 54;
constexpr std::uint64_t kPxnTable = std::uint64_t{1} << 59;
constexpr std::uint64_t kUxnTable = std::uint64_t{1} << 60;
constexpr std::uint64_t kNoEl0Table = std::uint64_t{1} << 61;
constexpr std::uint64_t kReadOnlyTable = std::uint64_t{1} << 62;

struct Shape {
  std::string_view geometry;
  std::uint64_t va;                    // page aligned
  std::vector<std::uint64_t> indices;  // of `va`, from the root down
  std::uint64_t page_bytes;
  std::uint64_t block_bytes;  // that an entry of the last but one level maps
};

const Shape kShapes[] = {
    {"aarch64-4k-48-kernel", 0xffff'8180'c080'5000, {0x103, 3, 4, 5}, 4096, 2 << 20},
    {"aarch64-4k-48-user", 0x0000'8180'c080'5000, {0x103, 3, 4, 5}, 4096, 2 << 20},
    {"aarch64-4k-39-kernel", 0xffff'ffc0'c080'5000, {0x103, 4, 5}, 4096, 2 << 20},
    {"aarch64-16k-47-kernel", 0xffff'c010'0600'8000, {0x401, 3, 2}, 16384, 32 << 20},
    {"aarch64-64k-42-user", 0x0000'0340'8003'0000, {0x1a04, 3}, 65536, 512 << 20},
    {"aarch64-64k-48-kernel", 0xffff'0400'6005'0000, {1, 3, 5}, 65536, 512 << 20},
    {"arm-lpae", 0xc080'5000, {3, 4, 5}, 4096, 2 << 20},
};

class LongDescriptors : public testing::TestWithParam<Shape> {
 protected:
  [[nodiscard]] std::uint64_t table(std::size_t level) const { return kRoot * (level + 1); }
  [[nodiscard]] std::size_t last() const { return GetParam().indices.size() - 1; }
  [[nodiscard]] bool is_high() const { return GetParam().va >> 63 != 0; }

  // Tables down to `level`, whose entry is `entry`; `rights` in the root's entry.
  void build(std::size_t level, std::uint64_t entry, std::uint64_t rights = 0) {
    for (std::size_t i = 0; i < level; ++i) {
      ram_.store(table(i) + GetParam().indices[i] * 8,
                 table(i + 1) | kTable | (i == 0 ? rights : 0));
    }
    ram_.store(table(level) + GetParam().indices[level] * 8, entry);
  }
  AddressSpace space() { return {ram_, *find_geometry(GetParam().geometry), Pa{kRoot}}; }

  test::ArrayRam ram_{kRamBytes};
};

TEST_P(LongDescriptors, TranslateAPage) {
  build(last(), 0xa0000 | kPage | kEl0);
  const auto to = space().translate(Va{GetParam().va + 0x123});
  ASSERT_TRUE(to) << to.error().what;
  EXPECT_EQ(to->at, Pa{0xa0123});
  EXPECT_EQ(to->page_bytes, GetParam().page_bytes);
  EXPECT_TRUE(to->user && to->writable && to->executable);
}

TEST_P(LongDescriptors, TranslateABlock) {
  const std::uint64_t block = GetParam().block_bytes;
  build(last() - 1, 3 * block | kBlock | kEl0);
  const auto to = space().translate(Va{GetParam().va + 0x123});
  ASSERT_TRUE(to) << to.error().what;
  EXPECT_EQ(to->at, Pa{3 * block + GetParam().va % block + 0x123});
  EXPECT_EQ(to->page_bytes, block);
}

TEST_P(LongDescriptors, TakeRightsFromTheLeaf) {
  build(last(), 0xa0000 | kPage | kReadOnly | (is_high() ? kPxn : kUxn));
  const auto to = space().translate(Va{GetParam().va});
  ASSERT_TRUE(to);
  EXPECT_FALSE(to->user || to->writable || to->executable);
}

TEST_P(LongDescriptors, ExecuteByTheOwnHalfsBit) {
  build(last(), 0xa0000 | kPage | (is_high() ? kUxn : kPxn));
  EXPECT_TRUE(space().translate(Va{GetParam().va})->executable);
}

TEST_P(LongDescriptors, TakeRightsAwayFromAbove) {
  build(last(), 0xa0000 | kPage | kEl0,
        kNoEl0Table | kReadOnlyTable | (is_high() ? kPxnTable : kUxnTable));
  const auto to = space().translate(Va{GetParam().va});
  ASSERT_TRUE(to);
  EXPECT_FALSE(to->user || to->writable || to->executable);
}

TEST_P(LongDescriptors, HaveNoBlocksInTheLastLevel) {
  build(last(), 0xa0000 | kBlock | kEl0);
  EXPECT_FALSE(space().translate(Va{GetParam().va}));
}

TEST_P(LongDescriptors, TranslateNothingOfTheOtherHalf) {
  build(last(), 0xa0000 | kPage | kEl0);
  EXPECT_FALSE(space().translate(Va{GetParam().va ^ std::uint64_t{1} << 63}));
}

TEST_P(LongDescriptors, AreWalkedToTheSameLeaf) {
  build(last(), 0xa0000 | kPage | kEl0);
  std::vector<Va> seen;
  AddressSpace walked = space();
  ASSERT_TRUE(walked.for_each_leaf({Va{is_high() ? std::uint64_t{1} << 63 : 0},
                                    Va{is_high() ? ~std::uint64_t{0} : std::uint64_t{1} << 63}},
                                   [&](Va at, const Translation& to) {
                                     EXPECT_EQ(to.at, Pa{0xa0000});
                                     seen.push_back(at);
                                     return true;
                                   }));
  EXPECT_EQ(seen, std::vector{Va{GetParam().va}});
}

INSTANTIATE_TEST_SUITE_P(Geometries, LongDescriptors, testing::ValuesIn(kShapes),
                         [](const auto& shape) {
                           std::string name(shape.param.geometry);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// As Linux with granules of 4 KiB and addresses of 48 bits sets it: T0SZ, T1SZ 16, TG0 00, TG1 10.
// [DDI 0487F, D13.2.120]
class Registers final : public GuestView {
 public:
  std::uint64_t control = 1;  // M
  std::uint64_t translation = 16 | 16 << 16 | std::uint64_t{2} << 30;

  Architecture architecture() const override { return Architecture::kAarch64; }
  unsigned vcpu_count() const override { return 1; }
  Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    if (name == "SCTLR") return control;
    if (name == "TCR_EL1") return translation;
    return fail(Errc::kNotFound, "no such register");
  }
  Result<X86SystemTables> x86_tables(unsigned) override {
    return fail(Errc::kUnsupported, "no x86");
  }
  PhysicalMemory& ram() override { return ram_; }

 private:
  test::ArrayRam ram_{16};
};

TEST(Aarch64Geometry, IsReadOutOfTheCpu) {
  Registers cpu;
  auto found = aarch64_geometries(cpu, 0);
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ(found->user, find_geometry("aarch64-4k-48-user"));
  EXPECT_EQ(found->kernel, find_geometry("aarch64-4k-48-kernel"));
  cpu.translation = 22 | 1 << 14 | 22 << 16 | std::uint64_t{3} << 30;  // TG0 01, TG1 11: 64 KiB
  found = aarch64_geometries(cpu, 0);
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ(found->kernel, find_geometry("aarch64-64k-42-kernel"));
}

TEST(Aarch64Geometry, IsRefusedWithoutAnMmuAndWithoutARow) {
  Registers cpu;
  cpu.control &= ~std::uint64_t{1};
  EXPECT_EQ(aarch64_geometries(cpu, 0).error().code, Errc::kUnsupported);
  cpu.control |= 1;
  cpu.translation = 30 | 30 << 16 | std::uint64_t{2} << 30;
  EXPECT_EQ(aarch64_geometries(cpu, 0).error().code, Errc::kUnsupported);
}

}  // namespace
}  // namespace swat::os
