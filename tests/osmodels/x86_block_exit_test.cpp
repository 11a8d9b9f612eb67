#include <gtest/gtest.h>

#include "code_memory.hpp"
#include "osmodels/x86/block_exit.hpp"

namespace swat::os::x86 {
namespace {

using test::CodeMemory;

constexpr Va kFrom{0x401010};
constexpr Va kTo{0x401000};

struct Row {
  const char* code;
  unsigned bits;
  bool jumps;
  const char* what;
};

// Assembled with GNU as.
const Row kRows[] = {
    {"90 eb ed", 64, true, "nop; jmp kTo"},
    {"48 85 c0 75 eb", 64, true, "test %rax,%rax; jne kTo"},
    {"e9 eb ff ff ff", 64, true, "jmp kTo, near"},
    {"90 eb ed", 32, true, "nop; jmp kTo"},
    {"e8 eb ff ff ff", 64, false, "call kTo"},
    {"eb ed", 64, false, "jmp elsewhere"},
    {"ff e0", 64, false, "jmp *%rax"},
    {"ff 25 00 00 00 00", 64, false, "jmp *0(%rip)"},
    {"c3", 64, false, "ret"},
    {"c3 eb ed", 64, false, "ret; a jump that is never reached"},
    {"90 90", 64, false, "code that cannot be read"},
    {"06", 64, false, "no instruction"},
};

TEST(X86BlockExit, KnowsAJumpBack) {
  // As long as the longest instruction: more of the page behind it.
  const std::string more = " cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc";
  for (const Row& row : kRows) {
    const bool is_cut = std::string_view(row.what).starts_with("code that");
    CodeMemory code = CodeMemory::of_hex(kFrom, row.code + (is_cut ? "" : more));
    EXPECT_EQ(jumps_to(code, kFrom, kTo, row.bits), row.jumps) << row.what;
  }
}

TEST(X86BlockExit, GivesUpWhereThereIsNoEnd) {
  CodeMemory code(kFrom, std::vector<std::uint8_t>(100000, 0x90));
  EXPECT_FALSE(jumps_to(code, kFrom, kTo, 64));
  EXPECT_LT(code.reads, 2000u);
}

}  // namespace
}  // namespace swat::os::x86
