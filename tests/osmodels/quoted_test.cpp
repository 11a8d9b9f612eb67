// How text looks: expected lines are what strace 6.1 prints of the same bytes.
#include "osmodels/quoted.hpp"

#include <gtest/gtest.h>

#include "osmodels/constants.hpp"

namespace swat::os {
namespace {

std::string shown(std::string_view text, std::size_t most = kUsualQuote) {
  return quoted(std::as_bytes(std::span(text)), most);
}

TEST(Quoted, EscapesAsStraceDoes) {
  EXPECT_EQ(shown("plain text"), R"("plain text")");
  EXPECT_EQ(shown("a\"b\\c\n\t\r\v\f"), R"("a\"b\\c\n\t\r\v\f")");
  EXPECT_EQ(shown(std::string_view("\0x\0", 3)), R"("\0x\0")");
  EXPECT_EQ(shown(std::string_view("\0001", 2)), R"("\0001")");  // a digit behind: all three
  EXPECT_EQ(shown("\x7f\x80\xff"), R"("\177\200\377")");
  EXPECT_EQ(shown("\x1b[0m"), R"("\33[0m")");
}

TEST(Quoted, IsCut) {
  EXPECT_EQ(shown("abcdef", 3), R"("abc"...)");
  EXPECT_EQ(shown("abc", 3), R"("abc")");
  EXPECT_EQ(shown("", 0), R"("")");
}

TEST(Quoted, KeepsWholeCharactersOfText) {
  EXPECT_EQ(quoted_text("gr\xc3\xbc\xc3\x9f", 99), "\"gr\xc3\xbc\xc3\x9f\"");
  EXPECT_EQ(quoted_text("gr\xc3\xbc", 3), "\"gr\"...");
  EXPECT_EQ(quoted_text("a\nb", 99), R"("a\nb")");
}

constexpr Constant kNames[] = {{3, "BOTH"}, {1, "ONE"}, {2, "TWO"}};

TEST(Constants, AreJoinedWhereTheyAreFlags) {
  const ConstantSet flags{"", true, kNames};
  EXPECT_EQ(name_constants(flags, 0), "0");
  EXPECT_EQ(name_constants(flags, 1), "ONE");
  EXPECT_EQ(name_constants(flags, 3), "BOTH");
  EXPECT_EQ(name_constants(flags, 0x12), "TWO|0x10");
  EXPECT_EQ(name_constants(flags, 0x13), "BOTH|0x10");
  const ConstantSet values{"", false, kNames};
  EXPECT_EQ(name_constants(values, 2), "TWO");
  EXPECT_EQ(name_constants(values, 6), "0x6");
}

}  // namespace
}  // namespace swat::os
