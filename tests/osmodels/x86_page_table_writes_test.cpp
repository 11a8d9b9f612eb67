#include <gtest/gtest.h>

#include <algorithm>

#include "code_memory.hpp"
#include "osmodels/x86/page_table_writes.hpp"

namespace swat::os::x86 {
namespace {

using test::CodeMemory;

constexpr Va kText{0xffffffff81000000};
constexpr std::uint64_t kPage = 4096;

using Bytes = std::vector<std::uint8_t>;

// Three pages of int3, with `code` at `offset`.
CodeMemory text_with(std::uint64_t offset, const Bytes& code) {
  Bytes bytes(3 * kPage, 0xcc);
  std::copy(code.begin(), code.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  return {kText, std::move(bytes)};
}

std::vector<Va> ends_in(CodeMemory memory) {
  return ends_of_page_table_writes(memory, {kText, kText + 3 * kPage});
}

// Debian's 6.1.0, from the guest's memory.
TEST(X86PageTableWrites, FindsThatOfAProcessSwitch) {
  // load_new_mm_cr3: bts $0x3f,%rdi; mov %rdi,%cr3; nopl (%rax)
  const Bytes code = {0x48, 0x0f, 0xba, 0xef, 0x3f, 0x0f, 0x22, 0xdf, 0x0f, 0x1f, 0x00};
  EXPECT_EQ(ends_in(text_with(0x851 - 8, code)), std::vector{kText + 0x851});
}

TEST(X86PageTableWrites, FindsOneOfAHighRegister) {
  // paranoid_exit: bts $0x3f,%r14; mov %r14,%cr3
  const Bytes code = {0x49, 0x0f, 0xba, 0xee, 0x3f, 0x41, 0x0f, 0x22, 0xde};
  EXPECT_EQ(ends_in(text_with(0x100, code)), std::vector{kText + 0x109});
}

TEST(X86PageTableWrites, FindsOneAcrossTwoPages) {
  for (const std::uint64_t offset : {kPage - 1, kPage - 2, kPage - 3}) {
    EXPECT_EQ(ends_in(text_with(offset, {0x0f, 0x22, 0xdf})), std::vector{kText + offset + 3});
  }
}

TEST(X86PageTableWrites, TakesNoOtherControlRegister) {
  EXPECT_TRUE(ends_in(text_with(0, {0x0f, 0x22, 0xe0})).empty());  // mov %rax,%cr4
  EXPECT_TRUE(ends_in(text_with(0, {0x0f, 0x20, 0xdf})).empty());  // mov %cr3,%rdi
}

// entry_SYSCALL_64: where page-table isolation is on, nothing jumps over its write.
TEST(X86PageTableWrites, LeavesOutWhatIsJumpedOver) {
  Bytes code = {0x90, 0x90, 0x0f, 0x20, 0xdc, 0x0f, 0x1f, 0x44, 0x00, 0x00, 0x48,
                0x81, 0xe4, 0xff, 0xe7, 0xff, 0xff, 0x0f, 0x22, 0xdc, 0x65, 0x48};
  EXPECT_EQ(ends_in(text_with(0x8c, code)), std::vector{kText + 0xa0});
  code[0] = 0xeb;
  code[1] = 0x12;
  EXPECT_TRUE(ends_in(text_with(0x8c, code)).empty());
  code[1] = 0x13;  // elsewhere
  EXPECT_EQ(ends_in(text_with(0x8c, code)), std::vector{kText + 0xa0});
}

TEST(X86PageTableWrites, PassesOverWhatIsNotMapped) {
  CodeMemory memory = text_with(0x200, {0x0f, 0x22, 0xdf});
  const VaRange beyond{kText - 2 * kPage, kText + 5 * kPage};
  EXPECT_EQ(ends_of_page_table_writes(memory, beyond), std::vector{kText + 0x203});
  EXPECT_TRUE(ends_of_page_table_writes(memory, {kText + kPage, kText}).empty());
}

TEST(X86PageTableWrites, ReadsNoMoreThanAKernelHas) {
  CodeMemory memory = text_with(0, {});
  const auto ends = ends_of_page_table_writes(memory, {kText, Va{~std::uint64_t{0}}});
  EXPECT_TRUE(ends.empty());
  EXPECT_LE(memory.reads, (64u << 20) / kPage);
}

}  // namespace
}  // namespace swat::os::x86
