#include <gtest/gtest.h>

#include <map>
#include <string>

#include "memory_fakes.hpp"
#include "osmodels/page_table.hpp"

namespace swat::os {
namespace {

using test::ArrayRam;

constexpr std::uint64_t kRoot = 0x4000;
constexpr std::uint64_t kSecond = 0x8400;  // 1 KiB aligned
constexpr std::size_t kRamBytes = 1 << 20;

// One page of each size at 0xc0812000, descriptors put together by hand.
// [Arm ARM DDI 0406C, figures B3-4 and B3-5, table B3-8; DDI 0100I, figures B4-5 and B4-7]
struct Row {
  std::string_view name;
  std::string_view geometry;
  std::uint32_t first;   // entry 0xc08 of the first level
  std::uint32_t second;  // entry 0x12 of the second
  std::uint64_t at;      // of 0xc0812345
  std::uint64_t page_bytes;
  bool user, writable, executable;
};

// Domains 1 and 2, cacheable and shareable bits set here and there: none of our business.
const Row kRows[] = {
    {"SmallKernel", "arm-v6", kSecond | 0x21, 0x42000 | 0x01e, 0x42345, 4096, false, true, true},
    {"SmallUser", "arm-v6", kSecond | 0x21, 0x42000 | 0x03e, 0x42345, 4096, true, true, true},
    {"SmallUserReadsOnly", "arm-v6", kSecond | 1, 0x42000 | 0x022, 0x42345, 4096, true, false,
     true},
    {"SmallReadOnly", "arm-v6", kSecond | 1, 0x42000 | 0x232, 0x42345, 4096, true, false, true},
    {"SmallNotExecuted", "arm-v6", kSecond | 1, 0x42000 | 0x033, 0x42345, 4096, true, true, false},
    {"Large", "arm-v6", kSecond | 1, 0x30000 | 0x0031, 0x32345, 4096, true, true, true},
    {"LargeNotExecuted", "arm-v6", kSecond | 1, 0x30000 | 0x8011, 0x32345, 4096, false, true,
     false},
    {"Section", "arm-v6", 0x40300000 | 0x1140e, 0, 0x40312345, 1 << 20, false, true, true},
    {"SectionReadOnlyNotExecuted", "arm-v6", 0x40300000 | 0x0841e, 0, 0x40312345, 1 << 20, false,
     false, false},
    {"SectionNotOfThePrivileged", "arm-v6", 0x40300000 | 0x00c0f, 0, 0x40312345, 1 << 20, true,
     true, true},
    {"Supersection", "arm-v6", 0x51000000 | 0x40402, 0, 0x51812345, 1 << 20, false, true, true},
    {"SmallOfVersion5", "arm-v5", kSecond | 0x11, 0x42000 | 0xaae, 0x42345, 4096, true, false,
     true},
    {"SmallOfVersion5Kernel", "arm-v5", kSecond | 0x11, 0x42000 | 0x55e, 0x42345, 4096, false, true,
     true},
    {"LargeOfVersion5", "arm-v5", kSecond | 0x11, 0x30000 | 0xff1, 0x32345, 4096, true, true, true},
    {"SectionOfVersion5", "arm-v5", 0x00300000 | 0x41e, 0, 0x00312345, 1 << 20, false, true, true},
};

class ShortDescriptors : public testing::TestWithParam<Row> {
 protected:
  ShortDescriptors() {
    ram_.store(kRoot + 0xc08 * 4, GetParam().first);
    ram_.store(kSecond + 0x12 * 4, GetParam().second);
  }
  AddressSpace space() { return {ram_, *find_geometry(GetParam().geometry), Pa{kRoot}}; }

  ArrayRam ram_{kRamBytes};
};

TEST_P(ShortDescriptors, AreTranslated) {
  AddressSpace under_test = space();
  const auto found = under_test.translate(Va{0xc0812345});
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ(found->at, Pa{GetParam().at});
  EXPECT_EQ(found->page_bytes, GetParam().page_bytes);
  EXPECT_EQ(found->user, GetParam().user);
  EXPECT_EQ(found->writable, GetParam().writable);
  EXPECT_EQ(found->executable, GetParam().executable);
  EXPECT_EQ(under_test.translate(Va{0xc0812345})->at, found->at);  // from the cache
}

TEST_P(ShortDescriptors, AreVisitedWithTheSameResult) {
  AddressSpace under_test = space();
  std::map<std::uint64_t, Translation> seen;
  ASSERT_TRUE(
      under_test.for_each_leaf({Va{0xc0812000}, Va{0xc0813000}}, [&](Va at, const Translation& to) {
        seen.emplace(at.value, to);
        return true;
      }));
  ASSERT_EQ(seen.size(), 1u);
  const auto& [start, to] = *seen.begin();
  EXPECT_EQ(to.at + (0xc0812345 - start), Pa{GetParam().at});
  EXPECT_EQ(to.user, GetParam().user);
  EXPECT_EQ(to.executable, GetParam().executable);
}

INSTANTIATE_TEST_SUITE_P(Arm, ShortDescriptors, testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ShortDescriptor, FaultsWhereThereIsNone) {
  ArrayRam ram(kRamBytes);
  ram.store<std::uint32_t>(kRoot + 0xc08 * 4, kSecond | 1);
  ram.store<std::uint32_t>(kRoot + 0xc09 * 4, 0x7ff00000 | 1);  // a table outside RAM
  ram.store<std::uint32_t>(kSecond, 0x42000);                   // its type bits are 0
  AddressSpace space(ram, *find_geometry("arm-v6"), Pa{kRoot});
  for (const std::uint64_t at : {0xc0800000u, 0xc0801000u, 0xc0900000u, 0xc0a00000u, 0u}) {
    const auto found = space.translate(Va{at});
    ASSERT_FALSE(found) << std::hex << at;
    EXPECT_EQ(found.error().code, Errc::kFault);
  }
}

// Every 1 MiB of a supersection, every 4 KiB of a large page has the same entry.
TEST(ShortDescriptor, TellsTheRepeatedEntriesOfOneLeafApart) {
  ArrayRam ram(kRamBytes);
  for (std::uint64_t i = 0; i < 16; ++i) {
    ram.store<std::uint32_t>(kRoot + (0xc10 + i) * 4, 0x51000000 | 0x40402);
    ram.store<std::uint32_t>(kSecond + (0x20 + i) * 4, 0x30000 | 0x31);
  }
  ram.store<std::uint32_t>(kRoot + 0xc20 * 4, kSecond | 1);
  AddressSpace space(ram, *find_geometry("arm-v6"), Pa{kRoot});
  EXPECT_EQ(space.translate(Va{0xc1f12345})->at, Pa{0x51f12345});
  EXPECT_EQ(space.translate(Va{0xc202f345})->at, Pa{0x3f345});
  std::uint64_t expected = 0x51000000;
  ASSERT_TRUE(space.for_each_leaf({Va{0xc1000000}, Va{0xc2000000}}, [&](Va, const auto& to) {
    EXPECT_EQ(to.at, Pa{expected});
    expected += 1 << 20;
    return true;
  }));
  EXPECT_EQ(expected, 0x52000000u);
}

// TTBCR.N of 1: 8 KiB of first level, for the lower 2 GiB.
TEST(ShortDescriptor, UserTablesEndWhereTtbcrSays) {
  ArrayRam ram(kRamBytes);
  ram.store<std::uint32_t>(kRoot + 0x7ff * 4, 0x40300000 | 0xc02);
  ram.store<std::uint32_t>(kRoot + 0x800 * 4, 0x40300000 | 0xc02);
  AddressSpace user(ram, *find_geometry("arm-v6-31bit"), Pa{kRoot});
  EXPECT_TRUE(user.translate(Va{0x7ff00000}));
  EXPECT_FALSE(user.translate(Va{0x80000000}));
}

// The CPU's registers alone.
class Registers final : public GuestView {
 public:
  explicit Registers(std::map<std::string, std::uint64_t, std::less<>> values)
      : values_(std::move(values)) {}
  Architecture architecture() const override { return Architecture::kArm; }
  unsigned vcpu_count() const override { return 1; }
  Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    const auto found = values_.find(name);
    if (found == values_.end()) return fail(Errc::kNotFound, "no register");
    return found->second;
  }
  Result<X86SystemTables> x86_tables(unsigned) override { return fail(Errc::kUnsupported, "ARM"); }
  PhysicalMemory& ram() override { return ram_; }

 private:
  std::map<std::string, std::uint64_t, std::less<>> values_;
  ArrayRam ram_{4096};
};

std::string_view user_geometry(std::uint64_t control, std::uint64_t ttbcr) {
  Registers cpu({{"SCTLR", control}, {"TTBCR", ttbcr}});
  const auto found = arm_geometries(cpu, 0);
  if (!found) return found.error().code == Errc::kUnsupported ? "unsupported" : "error";
  for (const std::string_view name : {"arm-v5", "arm-v6", "arm-v6-30bit", "arm-lpae"}) {
    if (found->user == find_geometry(name)) return name;
  }
  return "another";
}

// SCTLR and TTBCR as QEMU's arm926, arm1176 and cortex-a15 have them under Linux.
TEST(ArmGeometry, IsWhatTheControlRegistersSay) {
  EXPECT_EQ(user_geometry(0x00053177, 0), "arm-v5");
  EXPECT_EQ(user_geometry(0x00c5387d, 0), "arm-v6");
  EXPECT_EQ(user_geometry(0x10c5387d, 2), "arm-v6-30bit");
  EXPECT_EQ(user_geometry(0x30c5387d, 0xb5023500), "arm-lpae");
  EXPECT_EQ(user_geometry(0x30c5387d, 0xb5023587), "arm-lpae");  // walks of TTBR0 are off
  EXPECT_EQ(user_geometry(0x30c5387d, 0xb5023502), "unsupported");
  EXPECT_EQ(user_geometry(0x00c5387c, 0), "unsupported");  // no MMU
}

}  // namespace
}  // namespace swat::os
