#include "osmodels/linux/program_path.hpp"

#include <gtest/gtest.h>

#include "mapped_pages.hpp"

namespace swat::os {
namespace {

constexpr Va kTop{0x7ffd12345000};
constexpr std::uint64_t kPage = test::MappedPages::kPage;

// A stack whose last page ends in `text`, and `zeros` zeros.
struct Stack : test::MappedPages {
  explicit Stack(std::string_view text, std::size_t zeros = 8) {
    map(kTop - 2 * kPage);
    map(kTop - kPage);
    put_text(kTop - (text.size() + zeros), text);
  }
  std::optional<ProgramPath> find(unsigned word_bytes = 8) {
    return find_program_path(*this, pages, word_bytes);
  }
};

constexpr std::string_view kStrings("TERM=vt100\0/bin/busybox\0", 24);

TEST(ProgramPath, IsTheLastStringOfTheStack) {
  Stack stack(kStrings);
  const auto found = stack.find();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, "/bin/busybox");
  EXPECT_EQ(found->stack_top, kTop);
}

TEST(ProgramPath, OfA32BitKernelHasAShorterWordBehindIt) {
  Stack stack(kStrings, 4);
  EXPECT_EQ(stack.find(4)->path, "/bin/busybox");
  EXPECT_FALSE(stack.find(8));
}

TEST(ProgramPath, MayCrossIntoTheLastPage) {
  std::string text("A=1");
  text += '\0' + std::string(5000, 'x') + '\0';
  Stack stack(text);
  EXPECT_EQ(stack.find()->path, std::string(5000, 'x'));
}

TEST(ProgramPath, IsBelowWhatElseIsMappedAboveTheStack) {
  Stack stack(kStrings);
  stack.map(kTop + 0x10000, true);  // a vDSO: zeros at its end
  EXPECT_EQ(stack.find()->path, "/bin/busybox");
}

// Hostile, or no stack.
TEST(ProgramPath, IsNoneWhereThereIsNoSuchString) {
  for (const std::string_view text :
       {std::string_view("A=1\0/bin/\0", 10), std::string_view("A=1\0/bin/\x01\0", 11),
        std::string_view("A=1\0\0", 5)}) {
    EXPECT_FALSE(Stack(text).find());
  }
  Stack endless(std::string(2 * kPage - 9, 'x') + '\0');
  EXPECT_FALSE(endless.find());
  test::MappedPages nothing;
  EXPECT_FALSE(find_program_path(nothing, nothing.pages, 8));
}

// [proc(5), /proc/PID/comm]
TEST(ProgramPath, NamesTheProcessAsTheKernelDoes) {
  EXPECT_EQ(command_name("/usr/lib/systemd/systemd-journald"), "systemd-journal");
  EXPECT_EQ(command_name("./a.out"), "a.out");
}

}  // namespace
}  // namespace swat::os
