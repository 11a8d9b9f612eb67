#include "osmodels/linux/space_lives.hpp"

#include <gtest/gtest.h>

#include <set>

namespace swat::os {
namespace {

constexpr SpaceId kShell{1};
constexpr SpaceId kOther{2};

// Spaces that are there, and what is called in them.
struct Lives {
  ProcessKey begin(SpaceId space, std::string_view program = "/bin/sh") {
    there.insert(space);
    return lives.begin(space, program, [&](SpaceId id) { return there.contains(id); });
  }
  ProcessKey call(SpaceId space, std::string_view name, std::uint64_t first = 0,
                  std::string path = {}) {
    return lives.enter(space, {name, first, std::move(path)});
  }

  SpaceLives lives;
  std::set<SpaceId> there;
};

TEST(SpaceLives, EachSpaceIsAProcess) {
  Lives t;
  const ProcessKey shell = t.begin(kShell);
  EXPECT_NE(shell, ProcessKey{});
  EXPECT_NE(t.begin(kOther), shell);
  EXPECT_EQ(t.call(kShell, "getpid"), shell);
}

TEST(SpaceLives, ASpaceThatHasCalledExecveAndIsGoneHasBecomeTheOneThatRunsThatProgram) {
  Lives t;
  const ProcessKey shell = t.begin(kShell);
  EXPECT_EQ(t.call(kShell, "execve", 0x1000, "/bin/ls"), shell);
  t.there.erase(kShell);
  EXPECT_EQ(t.begin(kOther, "/bin/ls"), shell);
}

TEST(SpaceLives, WhatRunsAnotherProgramIsAnotherProcess) {
  Lives t;
  const ProcessKey shell = t.begin(kShell);
  t.call(kShell, "execve", 0x1000, "/bin/ls");
  t.there.erase(kShell);
  EXPECT_NE(t.begin(kOther, "/bin/cat"), shell);
}

// The child of a vfork has called execve: its parent, whose space it was in, is still there.
TEST(SpaceLives, ASpaceThatIsStillThereHasNotBecomeAnother) {
  Lives t;
  const ProcessKey shell = t.begin(kShell);
  t.call(kShell, "vfork");
  t.call(kShell, "execve", 0x1000, "/bin/ls");
  EXPECT_NE(t.begin(kOther, "/bin/ls"), shell);
  EXPECT_FALSE(t.lives.is_over(kShell));
}

TEST(SpaceLives, AnExecveThatHasFailedIsForgotten) {
  Lives t;
  const ProcessKey shell = t.begin(kShell);
  t.call(kShell, "execve", 0x1000, "/bin/ls");
  t.call(kShell, "write");
  t.there.erase(kShell);
  EXPECT_NE(t.begin(kOther, "/bin/ls"), shell);
}

TEST(SpaceLives, ExitGroupEndsAll) {
  Lives t;
  t.begin(kShell);
  constexpr std::uint64_t kThread = 0x3d0f00;
  t.call(kShell, "clone", kThread);
  t.call(kShell, "exit_group");
  EXPECT_TRUE(t.lives.is_over(kShell));
}

TEST(SpaceLives, TheLastExitEnds) {
  Lives t;
  t.begin(kShell);
  constexpr std::uint64_t kThread = 0x3d0f00;  // what glibc's pthread_create asks for
  t.call(kShell, "clone", kThread);
  t.call(kShell, "clone3");
  t.call(kShell, "exit");
  t.call(kShell, "exit");
  EXPECT_FALSE(t.lives.is_over(kShell));
  t.call(kShell, "exit");
  EXPECT_TRUE(t.lives.is_over(kShell));
}

TEST(SpaceLives, AForkIsNoThread) {
  Lives t;
  t.begin(kShell);
  constexpr std::uint64_t kFork = 0x1200011;  // what glibc's fork asks for
  t.call(kShell, "clone", kFork);
  t.call(kShell, "fork");
  t.call(kShell, "exit");
  EXPECT_TRUE(t.lives.is_over(kShell));
}

// A page table that was given to another process at once, or the child of a vfork that has exited.
TEST(SpaceLives, WhoeverCallsAfterTheEndIsAnotherProcess) {
  Lives t;
  const ProcessKey shell = t.begin(kShell);
  t.call(kShell, "exit_group");
  const ProcessKey next = t.call(kShell, "getpid");
  EXPECT_NE(next, shell);
  EXPECT_FALSE(t.lives.is_over(kShell));
  EXPECT_EQ(t.call(kShell, "getpid"), next);
}

TEST(SpaceLives, WhatIsLeftLivesOnInWhatItsExecveHasMade) {
  Lives t;
  const ProcessKey shell = t.begin(kShell);
  t.call(kShell, "execve", 0x1000, "/bin/ls");
  t.lives.leave(kShell);
  t.there.erase(kShell);
  EXPECT_EQ(t.begin(kOther, "/bin/ls"), shell);
}

TEST(SpaceLives, WhatIsLeftIsOver) {
  Lives t;
  t.begin(kShell);
  t.lives.leave(kShell);
  EXPECT_TRUE(t.lives.is_over(kShell));
}

TEST(SpaceLives, WhatWasNeverSeenIsOver) {
  const SpaceLives lives;
  EXPECT_TRUE(lives.is_over(kShell));
}

}  // namespace
}  // namespace swat::os
