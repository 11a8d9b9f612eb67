#include "daemon/syscall_demand.hpp"

#include <gtest/gtest.h>

#include "selections.hpp"

namespace swat::daemon {
namespace {

const os::SyscallAbi& abi64() { return *os::find_abi(os::SyscallEntry::Kind::kSyscall); }

using Numbers = std::vector<std::uint32_t>;

Numbers numbers(const Selection& s) { return demand_of(s, abi64()).numbers; }

// x32's, too: the same numbers with __X32_SYSCALL_BIT, and from 512 on those of its own.
// [arch/x86/entry/syscalls/syscall_64.tbl]
Numbers with_x32(Numbers numbers, const Numbers& own) {
  constexpr std::uint32_t kX32 = 0x40000000;
  const Numbers both = numbers;
  for (const std::uint32_t number : both) numbers.push_back(number | kX32);
  for (const std::uint32_t number : own) numbers.push_back(number | kX32);
  return numbers;
}

TEST(SyscallDemand, IsWhatIsNamedAndWhatEndsAProcess) {
  EXPECT_EQ(numbers(selection("execve")), with_x32({59, 231}, {520}));
  EXPECT_EQ(numbers(selection("none")), with_x32({231}, {}));
}

// mmap, munmap, mremap, execve, remap_file_pages, exit_group, execveat; x32's execve and execveat
TEST(SyscallDemand, IsWhatMapsAsWellWhenCallsAreWanted) {
  EXPECT_EQ(numbers(selection("none", {})), with_x32({9, 11, 25, 59, 216, 231, 322}, {520, 545}));
}

// Besides brk and set_tid_address, by which static programs are met.
TEST(SyscallDemand, IsWhatProgramsBeginWithAsWellWhenFunctionsAreToBreak) {
  Selection breaks = selection("none");
  breaks.breaks_on_functions = true;
  EXPECT_EQ(numbers(breaks), with_x32({9, 11, 12, 25, 59, 216, 218, 231, 322}, {520, 545}));
}

TEST(SyscallDemand, IsEverythingWhenSomethingIsLeftOut) {
  EXPECT_TRUE(demand_of(selection("!read"), abi64()).all);
  EXPECT_TRUE(demand_of({}, abi64()).all);
}

}  // namespace
}  // namespace swat::daemon
