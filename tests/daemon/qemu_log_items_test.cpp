// What QEMU logs, in an image that has QEMU's two variables. Real QEMUs are in
// tests/e2e/test_exec_log.py.
#include "daemon/qemu_log_items.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string_view>

#include "tests/symbols/tiny_elf.hpp"

namespace swat::daemon {
namespace {

using symbols::TinyElf;

constexpr std::uint64_t kLevel = TinyElf::kCode;          // of the symbol that is renamed
constexpr std::uint64_t kItems = TinyElf::kSlots + 0x20;  // and of the other
constexpr std::uint64_t kNames = TinyElf::kSlots + 0x200;
constexpr std::uint64_t kItemBytes = 24;

// [include/qemu/log.h: CPU_LOG_INT, CPU_LOG_EXEC, CPU_LOG_MMU, LOG_GUEST_ERROR; LOG_TRACE]
constexpr std::uint32_t kInt = 1 << 4, kExec = 1 << 5, kMmu = 1 << 12, kGuestErrors = 1 << 11;
constexpr std::uint32_t kTrace = 1 << 15;

// TinyElf's `call` and `datum`, named as QEMU's variables are.
struct Qemu {
  Qemu() {
    constexpr std::string_view kText("\0qemu_loglevel\0qemu_log_items\0", 30);
    for (std::size_t i = 0; i < TinyElf::kStringBytes; ++i) {
      elf.put(TinyElf::kStrings + i, i < kText.size() ? kText[i] : '\0');
    }
    place(1, 0, 0, 0);
    place(2, 1, 4, kLevel);
    place(3, 15, 5 * kItemBytes, kItems);
    place(4, 0, 0, 0);
    item(0, kInt, "int");
    item(1, kExec, "exec");
    item(2, kMmu, "mmu");
    item(3, kGuestErrors, "guest_errors");
    item(4, 0, "");
  }

  void place(std::size_t symbol, std::uint32_t name, std::uint64_t size_bytes,
             std::uint64_t value) {
    const std::uint64_t at = TinyElf::kSymbols + symbol * sizeof(Elf64_Sym);
    auto row = elf.get<Elf64_Sym>(at);
    row.st_name = name;
    row.st_size = size_bytes;
    row.st_value = value;
    elf.put(at, row);
  }
  void item(std::uint64_t index, std::uint32_t mask, std::string_view name) {
    const std::uint64_t text = kNames + 32 * index;
    for (std::size_t i = 0; i < name.size(); ++i) elf.put(text + i, name[i]);
    elf.put(text + name.size(), '\0');
    elf.put(kItems + kItemBytes * index, mask);
    elf.put(kItems + kItemBytes * index + 8, (TinyElf::kBase + text).value);
  }
  Result<std::string> items(std::uint32_t level) {
    elf.put(kLevel, level);
    return read_log_items(elf, TinyElf::kBase);
  }

  TinyElf elf;
};

TEST(QemuLogItems, AreThoseWhoseBitsAreSet) {
  Qemu qemu;
  EXPECT_EQ(*qemu.items(0), "");
  EXPECT_EQ(*qemu.items(kTrace), "");
  EXPECT_EQ(*qemu.items(kInt | kTrace), "int");
  EXPECT_EQ(*qemu.items(kExec | kMmu | kGuestErrors), "exec,mmu,guest_errors");
}

TEST(QemuLogItems, AnItemOfTwoBitsNeedsBoth) {
  Qemu qemu;
  qemu.item(0, kInt | kExec, "both");
  EXPECT_EQ(*qemu.items(kInt), "");
  EXPECT_EQ(*qemu.items(kInt | kExec), "both,exec");
}

TEST(QemuLogItems, OfAProgramThatHasNoneAreNotFound) {
  TinyElf elf;
  EXPECT_EQ(read_log_items(elf, TinyElf::kBase).error().code, Errc::kNotFound);
  EXPECT_FALSE(read_log_items(getpid()));
}

TEST(QemuLogItems, AreRefusedWhereTheyLookOtherwise) {
  Qemu qemu;
  qemu.place(2, 1, 8, kLevel);
  EXPECT_EQ(qemu.items(0).error().code, Errc::kUnsupported);
}

TEST(QemuLogItems, NamesThatCannotBeReadAreAnError) {
  Qemu qemu;
  qemu.elf.put(kItems + 8, std::uint64_t{0x1234});
  EXPECT_FALSE(qemu.items(kInt));
  EXPECT_TRUE(qemu.items(kMmu));
}

}  // namespace
}  // namespace swat::daemon
