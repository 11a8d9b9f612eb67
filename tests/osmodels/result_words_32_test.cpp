// Results on i386: a TSS, a stack and the entry's pushes as kernels have them, in an array of RAM
// (by objdump of what QEMU's memsave has written).
#include "osmodels/linux/result_words_32.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "tests/osmodels/memory_fakes.hpp"

namespace swat::os {
namespace {

using Kind = SyscallEntry::Kind;

constexpr std::uint64_t kRoot = 0x4000;
constexpr std::uint64_t kPageOffset = 0xc0000000;
constexpr Va kTss{kPageOffset + 0x103000};
constexpr Va kStackTop{kPageOffset + 0x208000};
constexpr Va kInt80{kPageOffset + 0x102b00};     // system_call of 2.6.20, beside ...
constexpr Va kSysenter{kPageOffset + 0x102a70};  // sysenter_entry

class I386 final : public GuestView {
 public:
  I386() {
    constexpr std::uint32_t kLarge = 0x83;  // present, writable, 4 MiB [Intel SDM vol. 3, 4.3]
    memory.store<std::uint32_t>(kRoot + (kPageOffset >> 22) * 4, kLarge);
  }
  Architecture architecture() const override { return Architecture::kI386; }
  unsigned vcpu_count() const override { return 1; }
  Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    return registers[std::string(name)];
  }
  Result<X86SystemTables> x86_tables(unsigned) override {
    X86SystemTables tables;
    tables.tr_base = kTss;
    return tables;
  }
  PhysicalMemory& ram() override { return memory; }
  void put(Va at, std::uint64_t word) {
    memory.store(at.value - kPageOffset, static_cast<std::uint32_t>(word));
  }

  test::ArrayRam memory{4 << 20};
  std::map<std::string, std::uint64_t> registers;
};

// What is on the stack when ebx has been pushed is all that the code is looked at for.
class Results32 : public testing::Test {
 protected:
  // push %eax; cld; push %gs; push %fs; push %es; push %ds; push %eax; push %ebp, %edi, %esi, %edx,
  // %ecx, %ebx: of 3.16. 2.6.20 has no push of fs, 2.4.27 of gs neither.
  static constexpr std::uint8_t kSaves[] = {0x50, 0xfc, 0x0f, 0xa8, 0x0f, 0xa0, 0x06, 0x1e,
                                            0x50, 0x55, 0x57, 0x56, 0x52, 0x51, 0x53};

  void put_entry(std::initializer_list<std::size_t> without = {}) {
    std::uint64_t at = kInt80.value - kPageOffset;
    for (std::size_t i = 0; i < std::size(kSaves); ++i) {
      if (std::ranges::find(without, i) == without.end()) guest.memory.store(at++, kSaves[i]);
    }
  }
  Result<ResultWord> word_at(Va sp) {
    guest.registers["esp"] = sp.value;
    ResultWords32 words = SWAT_TRY(ResultWords32::find(guest, kernel, entries));
    const auto piece = words.piece(0);
    SWAT_CHECK(guest.memory.read(piece.at, piece.into));
    return words.last(0, kernel);
  }

  I386 guest;
  AddressSpace kernel{guest.memory, *find_geometry("i386"), Pa{kRoot}};
  std::vector<SyscallEntry> entries = {{Kind::kInt80, kInt80, "test"},
                                       {Kind::kSysenter, kSysenter, "test"}};
};

// struct pt_regs of 6.1 [pahole]: 68 bytes, ax at 24, ip at 48.
constexpr ResultWord kOfNew{kStackTop - 44, kStackTop - 68, {}, kStackTop - 20, 4};

TEST_F(Results32, LieWhereTheEntryBeginsToPush) {
  put_entry();
  guest.put(kTss + 4, kStackTop.value);
  EXPECT_EQ(word_at(kStackTop - 0x180), kOfNew);
}

// 5.8: SYSENTER's `mov 0x200c(%esp),%esp` takes sp1 of a TSS that is 0x2000 above the stack it
// stands on.
TEST_F(Results32, LieOnTheThreadsStackWhereTheEntryHasOneOfItsOwn) {
  put_entry();
  guest.put(kTss + 4, kTss.value - 0x2000);
  guest.put(kTss + 12, kStackTop.value);
  EXPECT_EQ(word_at(kTss - 0x2014), kOfNew);
}

TEST_F(Results32, LieHigherWhereLessIsSaved) {
  guest.put(kTss + 4, kStackTop.value);
  put_entry({4, 5});
  const ResultWord of_2_6_20{kStackTop - 40, kStackTop - 64, {}, kStackTop - 20, 4};
  EXPECT_EQ(word_at(kStackTop - 68), of_2_6_20);
  put_entry({2, 3, 4, 5});
  const ResultWord of_2_4{kStackTop - 36, kStackTop - 60, {}, kStackTop - 20, 4};
  EXPECT_EQ(word_at(kStackTop - 64), of_2_4);
}

// mov 0x2c(%esp),%edx; mov 0x38(%esp),%ecx; ...; sysexit
TEST_F(Results32, OfOldSysexitReachToTheWordThatItReads) {
  put_entry({4, 5});
  guest.put(kTss + 4, kStackTop.value);
  guest.put(kStackTop - 68, kSysenter.value + 0x64);  // behind sysenter_entry's call
  const auto word = word_at(kStackTop - 68);
  ASSERT_TRUE(word);
  EXPECT_EQ(word->at, kStackTop - 40);
  EXPECT_EQ(word->at + word->watched_bytes, kStackTop - 64 + 0x2c + 4);
}

TEST_F(Results32, AreNotWhereNoStackIs) {
  EXPECT_EQ(word_at(kStackTop).error().code, Errc::kNotFound) << "no entry";
  put_entry();
  EXPECT_EQ(word_at(kStackTop).error().code, Errc::kBadImage);
  guest.put(kTss + 4, kStackTop.value + 1);
  EXPECT_EQ(word_at(kStackTop).error().code, Errc::kBadImage);
}

}  // namespace
}  // namespace swat::os
