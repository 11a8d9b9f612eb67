#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "osmodels/windows/syscall_tables.hpp"

namespace swat::os::windows {
namespace {

std::vector<std::string_view> names_of(std::string_view build, SyscallTable table) {
  const SyscallBuild* found = find_syscall_build(build);
  EXPECT_NE(found, nullptr) << build;
  return found == nullptr ? std::vector<std::string_view>() : syscall_names(*found, table);
}

// In SWAT's published log of a Windows XP, beside the frames that called them. [ispras/swat,
// docs/Introspection.md]
TEST(WindowsSyscallTables, NameTheCallsOfSwatsLog) {
  const auto nt = names_of("xp_sp3_x86", SyscallTable::kNt);
  const auto win32k = names_of("xp_sp3_x86", SyscallTable::kWin32k);
  EXPECT_EQ(nt.at(0xc8), "NtRequestWaitReplyPort");
  EXPECT_EQ(win32k.at(0x208), "NtUserSetInformationThread");
  EXPECT_EQ(win32k.at(0x1de), "NtUserProcessConnect");
}

// Counted in another collection, which was made from other files. [hfiref0x/SyscallTables]
TEST(WindowsSyscallTables, HaveAsManyAsOtherTables) {
  EXPECT_EQ(names_of("win7_sp1_x64", SyscallTable::kWin32k).size(), 827u);
  EXPECT_EQ(names_of("win10_17763_x64", SyscallTable::kNt).size(), 463u);
  EXPECT_EQ(names_of("win10_18363_x64", SyscallTable::kWin32k).size(), 1258u);
  EXPECT_EQ(names_of("win10_19041_x64", SyscallTable::kNt).size(), 471u);
}

TEST(WindowsSyscallTables, HaveEachNameOnce) {
  for (const SyscallBuild& build : syscall_builds()) {
    for (const SyscallTable table : {SyscallTable::kNt, SyscallTable::kWin32k}) {
      const auto names = syscall_names(build, table);
      std::multiset<std::string_view> once(names.begin(), names.end());
      once.erase("");
      EXPECT_TRUE(std::ranges::adjacent_find(once) == once.end()) << build.name;
      EXPECT_GE(once.size(), 248u) << build.name;
    }
  }
}

TEST(WindowsSyscallTables, OfTheNewestBuildThatIsNotNewer) {
  const SyscallBuild* build = syscall_build_near(19046, 8);
  ASSERT_NE(build, nullptr);
  EXPECT_EQ(build->name, "win10_19045_x64");
  EXPECT_EQ(syscall_build_near(2600, 4)->name, "xp_sp3_x86");
  EXPECT_EQ(syscall_build_near(1381, 4), nullptr);
}

}  // namespace
}  // namespace swat::os::windows
