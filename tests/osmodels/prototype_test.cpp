// Lines that say what calls take.
#include "osmodels/prototype.hpp"

#include <gtest/gtest.h>

#include <array>

namespace swat::os {
namespace {

TEST(Prototype, TellsTypesDirectionsAndSizes) {
  const auto parsed = parse_prototype(
      "NTSTATUS NtReadFile(in HANDLE FileHandle, out PVOID Buffer[Length], in ULONG Length, inout "
      "const RECT* Rect, out PVOID Other[*Size])");
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_EQ(parsed->result, "NTSTATUS");
  EXPECT_EQ(parsed->name, "NtReadFile");
  const std::vector<Parameter> expected = {{Direction::kIn, "HANDLE", "FileHandle"},
                                           {Direction::kOut, "PVOID", "Buffer", "Length"},
                                           {Direction::kIn, "ULONG", "Length"},
                                           {Direction::kInOut, "const RECT*", "Rect"},
                                           {Direction::kOut, "PVOID", "Other", "Size", true}};
  EXPECT_EQ(parsed->parameters, expected);
  EXPECT_EQ(parsed->find("Length"), 2u);
  EXPECT_EQ(parsed->find("length"), 5u);
}

TEST(Prototype, MayTakeNothing) {
  const auto parsed = parse_prototype("NTSTATUS NtYieldExecution()");
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_TRUE(parsed->parameters.empty());
}

TEST(Prototype, RefusesWhatIsNone) {
  for (const std::string_view line :
       {"", "f", "f()", "int f", "int f(", "int f(int a)", "int f(in int)", "int f(in a, )",
        "int f(out int a[])", "int f(out int a])", "int f(,)"}) {
    const auto parsed = parse_prototype(line);
    ASSERT_FALSE(parsed) << line;
    EXPECT_EQ(parsed.error().code, Errc::kBadImage) << line;
  }
}

TEST(PrototypeTable, GivesTheLastLineOfAName) {
  constexpr std::array<std::string_view, 3> kLines = {"int f()", "int g(in int a)",
                                                      "long f(in int b)"};
  PrototypeTable table;
  table.add(kLines);
  ASSERT_NE(table.find("f"), nullptr);
  EXPECT_EQ(table.find("f")->result, "long");
  EXPECT_EQ(table.find("f"), table.find("f"));  // it stays where it is
  EXPECT_EQ(table.find("g")->parameters.size(), 1u);
  EXPECT_EQ(table.find("h"), nullptr);
}

TEST(PrototypeTable, KnowsNoCallOfALineThatIsNone) {
  constexpr std::array<std::string_view, 1> kLines = {"int f(int)"};
  PrototypeTable table;
  table.add(kLines);
  EXPECT_EQ(table.find("f"), nullptr);
}

}  // namespace
}  // namespace swat::os
