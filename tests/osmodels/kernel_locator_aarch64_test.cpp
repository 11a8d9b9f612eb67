// A small AArch64 kernel in an array of RAM: tables of 4 KiB and 48 bits as the manual has them
// [Arm ARM DDI 0487F, figures D5-15 to D5-17], code and data, and the trampoline's table of KPTI.
#include <gtest/gtest.h>

#include "osmodels/linux/kernel_run.hpp"
#include "tests/osmodels/memory_fakes.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kRoot = 0x14000;
constexpr std::uint64_t kTable1 = 0x40000;
constexpr std::uint64_t kTable2 = 0x50000;
constexpr std::uint64_t kImage = 0x200000;
constexpr std::uint64_t kImageVa = 0xffff'8000'0800'0000;
constexpr std::uint64_t kBlockBytes = 2 << 20;
constexpr std::size_t kRamBytes = 12 << 20;
constexpr std::uint64_t kTable = 3;
constexpr std::uint64_t kUxn = std::uint64_t{1} << 54;
constexpr std::uint64_t kCode = kUxn | 0x401;                         // a block, accessed
constexpr std::uint64_t kDataBlock = kCode | std::uint64_t{1} << 53;  // PXN
constexpr std::uint64_t kAsid = std::uint64_t{0x42} << 48;

class Aarch64Guest final : public GuestView {
 public:
  Architecture architecture() const override { return Architecture::kAarch64; }
  unsigned vcpu_count() const override { return 1; }
  Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    if (name == "SCTLR") return 1;
    if (name == "TCR_EL1") return 16 | 16 << 16 | std::uint64_t{2} << 30;
    if (name == "TTBR1_EL1") return root | kAsid;
    return fail(Errc::kNotFound, "no such register");
  }
  Result<X86SystemTables> x86_tables(unsigned) override {
    return fail(Errc::kUnsupported, "no x86");
  }
  PhysicalMemory& ram() override { return memory; }

  // Blocks of the image, one behind the other.
  void map(std::initializer_list<std::uint64_t> blocks) {
    memory.store<std::uint64_t>(kRoot + 0x100 * 8, kTable1 | kTable);
    memory.store<std::uint64_t>(kTable1, kTable2 | kTable);
    std::uint64_t i = 0;
    for (const std::uint64_t block : blocks) {
      memory.store(kTable2 + (0x40 + i) * 8, (kImage + i * kBlockBytes) | block);
      ++i;
    }
  }

  test::ArrayRam memory{kRamBytes};
  std::uint64_t root = kRoot;
};

TEST(Aarch64Locator, TakesCodeAndWhatLiesAroundIt) {
  Aarch64Guest guest;
  guest.map({kDataBlock, kCode, kCode, kDataBlock});
  guest.memory.store<std::uint32_t>(kImage + 3 * kBlockBytes, 0x12345678);
  const auto kernel = locate_aarch64_kernel(guest);
  ASSERT_TRUE(kernel) << kernel.error().what;
  EXPECT_EQ(kernel->root, Pa{kRoot});
  EXPECT_EQ(kernel->base, Va{kImageVa});
  EXPECT_EQ(kernel->entry, Va{kImageVa + kBlockBytes});
  ASSERT_EQ(kernel->bytes.size(), 4 * kBlockBytes);
  std::uint32_t word = 0;
  std::memcpy(&word, kernel->bytes.all().data() + 3 * kBlockBytes, sizeof(word));
  EXPECT_EQ(word, 0x12345678u);
  EXPECT_EQ(kernel->layout.lowest_address, 0xffff'0000'0000'0000u);
  EXPECT_EQ(kernel->layout.word_bytes, 8u);
}

// In user mode TTBR1_EL1 has the trampoline's table, which maps little; since 4.20 the kernel's is
// two pages further on. [arch/arm64/kernel/vmlinux.lds.S]
TEST(Aarch64Locator, FindsTheKernelSTableBesideTheTrampolineS) {
  Aarch64Guest guest;
  guest.map({kCode, kCode});
  guest.root = kRoot - 0x2000;
  const auto kernel = locate_aarch64_kernel(guest);
  ASSERT_TRUE(kernel) << kernel.error().what;
  EXPECT_EQ(kernel->root, Pa{kRoot});
}

TEST(Aarch64Locator, FindsNoneWhereThereIsTooLittleCode) {
  Aarch64Guest guest;
  guest.map({kCode, kDataBlock, kDataBlock});
  EXPECT_EQ(locate_aarch64_kernel(guest).error().code, Errc::kNotFound);
}

TEST(Aarch64Locator, FindsNoneInPiecesThatAreNotOneInRam) {
  Aarch64Guest guest;
  guest.map({kCode, kCode});
  guest.memory.store(kTable2 + 0x41 * 8, (kImage + 3 * kBlockBytes) | kCode);
  EXPECT_EQ(locate_aarch64_kernel(guest).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::os
