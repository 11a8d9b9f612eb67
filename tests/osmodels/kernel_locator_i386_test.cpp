// A small i386 kernel in an array of RAM: page tables as the manual has them [Intel SDM vol. 3, 4.3
// and 4.4], an IDT, and code where the direct map of each VMSPLIT begins. [arch/x86/Kconfig,
// PAGE_OFFSET]
#include "osmodels/linux/kernel_locator_i386.hpp"

#include <gtest/gtest.h>

#include "tests/osmodels/memory_fakes.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kRoot = 0x4000;
constexpr std::uint64_t kUserHalf = 0x5000;
constexpr std::uint64_t kDirectories = 0x6000;  // of PAE, four pages
constexpr std::uint64_t kHandler = 0x800123;    // of page faults
constexpr std::uint64_t kIdt = 0x900000;
constexpr std::uint64_t kText = 0x810000;
constexpr std::size_t kRamBytes = 24 << 20;
constexpr std::uint32_t kLarge = 0x83;  // present, writable, a page of 4 (PAE: 2) MiB
constexpr std::uint32_t kUser = 0x4;

class I386Guest final : public GuestView {
 public:
  Architecture architecture() const override { return Architecture::kI386; }
  unsigned vcpu_count() const override { return 1; }
  Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    if (name == "cr3") return cr3;
    return fail(Errc::kNotFound, "not in this test");
  }
  Result<X86SystemTables> x86_tables(unsigned) override {
    X86SystemTables tables;
    tables.idt_base = Va{idt_base};
    return tables;
  }
  PhysicalMemory& ram() override { return memory; }

  // Offset 15:0, selector; type (interrupt gate), offset 31:16. [Intel SDM vol. 3, figure 6-2]
  void set_page_fault_gate(std::uint32_t target) {
    memory.store<std::uint32_t>(kIdt + 14 * 8, 0x00600000 | (target & 0xffff));
    memory.store<std::uint32_t>(kIdt + 14 * 8 + 4, (target & 0xffff0000) | 0x8e00);
  }
  void map(std::uint64_t page_offset, std::uint32_t flags = kLarge) {
    for (std::uint64_t at = 0; at < kRamBytes; at += 4 << 20) {
      memory.store(kRoot + ((page_offset + at) >> 22) * 4, static_cast<std::uint32_t>(at) | flags);
    }
    set_page_fault_gate(static_cast<std::uint32_t>(page_offset + kHandler));
    idt_base = page_offset + kIdt;
  }
  void map_pae(std::uint64_t page_offset) {
    for (std::uint64_t i = 0; i < 4; ++i) {
      memory.store<std::uint64_t>(kRoot + i * 8, (kDirectories + i * 4096) | 1);
    }
    for (std::uint64_t at = 0; at < kRamBytes; at += 2 << 20) {
      memory.store<std::uint64_t>(kDirectories + ((page_offset + at) >> 21) * 8, at | kLarge);
    }
    set_page_fault_gate(static_cast<std::uint32_t>(page_offset + kHandler));
    idt_base = page_offset + kIdt;
  }

  test::ArrayRam memory{kRamBytes};
  std::uint64_t cr3 = kRoot;
  std::uint64_t idt_base = 0;
};

const PageGeometry& two_levels() { return *find_geometry("i386"); }
const PageGeometry& pae() { return *find_geometry("i386-pae"); }

std::uint32_t word_at(const LocatedKernel& kernel, Va at) {
  std::uint32_t word = 0;
  std::memcpy(&word, kernel.bytes.all().data() + (at - kernel.base), sizeof(word));
  return word;
}

class I386Splits : public testing::TestWithParam<std::uint64_t> {};

TEST_P(I386Splits, AreFoundByThePageFaultGate) {
  for (const bool has_pae : {false, true}) {
    I386Guest guest;
    has_pae ? guest.map_pae(GetParam()) : guest.map(GetParam());
    guest.memory.store<std::uint32_t>(kText, 0x12345678);
    const auto kernel = locate_i386_kernel(guest, has_pae ? pae() : two_levels());
    ASSERT_TRUE(kernel) << kernel.error().what;
    EXPECT_EQ(kernel->entry, Va{GetParam() + kHandler});
    EXPECT_EQ(kernel->layout.lowest_address, GetParam());
    EXPECT_EQ(kernel->layout.word_bytes, 4u);
    EXPECT_EQ(kernel->root, Pa{kRoot});
    EXPECT_EQ(word_at(*kernel, Va{GetParam() + kText}), 0x12345678u);
  }
}

INSTANTIATE_TEST_SUITE_P(PageOffsets, I386Splits,
                         testing::Values(0xc0000000, 0xb0000000, 0x80000000, 0x78000000,
                                         0x40000000));

// With page-table isolation CR3 leads to the user half while a program runs, which maps the entries
// alone; the kernel's is the page before.
TEST(I386Locator, TakesTheKernelHalfOfSplitTables) {
  I386Guest guest;
  guest.map(0xc0000000);
  guest.memory.store<std::uint32_t>(kUserHalf + ((0xc0000000 + kHandler) >> 22) * 4,
                                    0x800000 | kLarge);
  guest.cr3 = kUserHalf;
  const auto kernel = locate_i386_kernel(guest, two_levels());
  ASSERT_TRUE(kernel) << kernel.error().what;
  EXPECT_EQ(kernel->root, Pa{kRoot});
}

TEST(I386Locator, FindsNoneWhereTheGateLeadsOutOfEveryDirectMap) {
  I386Guest guest;
  guest.map(0xc0000000);
  guest.set_page_fault_gate(0xc0000000 + (64 << 20));  // not mapped
  EXPECT_EQ(locate_i386_kernel(guest, two_levels()).error().code, Errc::kNotFound);
}

TEST(I386Locator, FindsNoneInAnotherSystemSLayout) {
  I386Guest guest;
  guest.map(0xa0000000);  // no VMSPLIT of Linux
  EXPECT_EQ(locate_i386_kernel(guest, two_levels()).error().code, Errc::kNotFound);
}

TEST(I386Locator, FindsNoneInUserPages) {
  I386Guest guest;
  guest.map(0xc0000000, kLarge | kUser);
  EXPECT_EQ(locate_i386_kernel(guest, two_levels()).error().code, Errc::kNotFound);
}

TEST(I386Locator, FindsNoneWithoutAPresentGate) {
  I386Guest guest;
  guest.map(0xc0000000);
  guest.memory.store<std::uint32_t>(kIdt + 14 * 8 + 4, 0);
  EXPECT_EQ(locate_i386_kernel(guest, two_levels()).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace swat::os
