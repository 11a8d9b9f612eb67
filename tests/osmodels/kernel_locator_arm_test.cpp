// A small ARM kernel in an array of RAM: short descriptors as the manual has them [Arm ARM DDI
// 0406C, figures B3-4 and B3-5], vectors, and code where the direct map of each VMSPLIT begins.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "osmodels/linux/kernel_run.hpp"
#include "tests/osmodels/memory_fakes.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kRoot = 0x4000;
constexpr std::uint64_t kSecond = 0x8000;  // of the last megabyte
constexpr std::uint64_t kVectors = 0x9000;
constexpr std::uint64_t kVectorWords = 0xa000;  // the page behind the vectors
constexpr std::uint64_t kEntry = 0x8240;        // vector_swi
constexpr std::uint64_t kData = 0x210000;
constexpr std::size_t kRamBytes = 8 << 20;
constexpr std::uint32_t kSection = 0x40e;      // of the kernel; 0xc0e: of the user, too
constexpr std::uint32_t kSmallPage = 0x01e;    // the same
constexpr std::uint32_t kLoadPc = 0xe59ff000;  // ldr pc, [pc, #..]
constexpr std::uint64_t kHighVectors = 1 << 13;

class ArmGuest final : public GuestView {
 public:
  Architecture architecture() const override { return Architecture::kArm; }
  unsigned vcpu_count() const override { return 1; }
  Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    const auto found = registers.find(name);
    if (found == registers.end()) return fail(Errc::kNotFound, "no register");
    return found->second;
  }
  Result<X86SystemTables> x86_tables(unsigned) override { return fail(Errc::kUnsupported, "ARM"); }
  PhysicalMemory& ram() override { return memory; }

  void map(std::uint64_t page_offset, std::uint32_t section = kSection) {
    for (std::uint64_t at = 0; at < kRamBytes; at += 1 << 20) {
      memory.store(kRoot + ((page_offset + at) >> 20) * 4,
                   static_cast<std::uint32_t>(at) | section);
    }
    memory.store<std::uint32_t>(kRoot + 0xfff * 4, kSecond | 1);
    memory.store<std::uint32_t>(kSecond + 0xf0 * 4, kVectors | kSmallPage);
    memory.store<std::uint32_t>(kSecond + 0xf1 * 4, kVectorWords | kSmallPage);
    // `ldr pc, [pc, #0xff0]` at 0xffff0008, as arch/arm/kernel/entry-armv.S has it since 3.11.
    memory.store<std::uint32_t>(kVectors + 8, kLoadPc | 0xff0);
    memory.store(kVectorWords, static_cast<std::uint32_t>(page_offset + kEntry));
  }

  test::ArrayRam memory{kRamBytes};
  std::map<std::string, std::uint64_t, std::less<>> registers = {
      {"SCTLR", 0x10c5387d}, {"TTBCR", 0}, {"TTBR0_EL1", kRoot | 0x6a}};
};

class ArmSplits : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ArmSplits, AreFoundByTheVectorOfSvc) {
  ArmGuest guest;
  guest.map(GetParam());
  guest.memory.store<std::uint32_t>(kData, 0x12345678);
  const auto kernel = locate_arm_kernel(guest);
  ASSERT_TRUE(kernel) << kernel.error().what;
  EXPECT_EQ(kernel->entry, Va{GetParam() + kEntry});
  EXPECT_EQ(kernel->layout.lowest_address, GetParam());
  EXPECT_EQ(kernel->layout.word_bytes, 4u);
  EXPECT_EQ(kernel->layout.root_alignment, 0x4000u);
  EXPECT_EQ(kernel->root, Pa{kRoot});
  std::uint32_t word = 0;
  std::memcpy(&word, kernel->bytes.all().data() + (Va{GetParam() + kData} - kernel->base),
              sizeof(word));
  EXPECT_EQ(word, 0x12345678u);
}

INSTANTIATE_TEST_SUITE_P(PageOffsets, ArmSplits,
                         testing::Values(0xc0000000, 0xb0000000, 0x80000000, 0x40000000));

TEST(ArmLocator, TakesVectorsWhereVbarSays) {
  ArmGuest guest;
  guest.map(0xc0000000);
  guest.registers["SCTLR"] &= ~kHighVectors;
  constexpr std::uint64_t kOwn = 0x100000;
  guest.registers["VBAR"] = 0xc0000000 + kOwn;
  guest.memory.store<std::uint32_t>(kOwn + 8, kLoadPc | 0x410);
  guest.memory.store<std::uint32_t>(kOwn + 8 + 8 + 0x410, 0xc0000000 + kEntry + 0x40);
  const auto kernel = locate_arm_kernel(guest);
  ASSERT_TRUE(kernel) << kernel.error().what;
  EXPECT_EQ(kernel->entry, Va{0xc0000000 + kEntry + 0x40});
}

TEST(ArmLocator, TakesTheKernelSTableWhereTtbcrDivides) {
  ArmGuest guest;
  guest.map(0xc0000000);
  guest.registers["TTBCR"] = 2;
  guest.registers["TTBR1_EL1"] = guest.registers["TTBR0_EL1"];
  guest.registers["TTBR0_EL1"] = 0x100000;  // all zero
  const auto kernel = locate_arm_kernel(guest);
  ASSERT_TRUE(kernel) << kernel.error().what;
  EXPECT_EQ(kernel->root, Pa{kRoot});
  EXPECT_NE(kernel->geometry, kernel->user_geometry);
}

TEST(ArmLocator, FindsNoneWithoutLinuxVectors) {
  ArmGuest guest;
  guest.map(0xc0000000);
  guest.memory.store<std::uint32_t>(kVectors + 8, 0xea000010);  // a branch
  EXPECT_EQ(locate_arm_kernel(guest).error().code, Errc::kNotFound);
}

TEST(ArmLocator, FindsNoneInUserPagesAndWhereNothingIsMapped) {
  ArmGuest guest;
  guest.map(0xc0000000, 0xc0e);
  EXPECT_EQ(locate_arm_kernel(guest).error().code, Errc::kNotFound);
  guest.memory.store<std::uint32_t>(kVectorWords, 0xe0000000);
  EXPECT_EQ(locate_arm_kernel(guest).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::os
