#include "daemon/trap_proof.hpp"

#include <gtest/gtest.h>

namespace swat::daemon {
namespace {

TEST(TrapProof, IsCompleteAfterEnoughThatWereNoticed) {
  TrapProof proof;
  for (unsigned i = 0; i < TrapProof::kEnough; ++i) {
    EXPECT_FALSE(proof.is_complete()) << i;
    proof.entered(100, 39 + i);
    proof.noticed(100, 39 + i);
  }
  EXPECT_TRUE(proof.is_complete());
  EXPECT_FALSE(proof.has_failed());
  EXPECT_EQ(proof.to_string(), "noticed 8 of 8 that a breakpoint saw");
}

TEST(TrapProof, FailsWhenThreadsEnterAgainUnnoticed) {
  TrapProof proof;
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_FALSE(proof.has_failed()) << i;
    proof.entered(100, 39);
  }
  EXPECT_TRUE(proof.has_failed());
  EXPECT_TRUE(proof.is_complete());
  EXPECT_EQ(proof.missed(), 2u);
  EXPECT_EQ(proof.to_string(), "noticed 0 of 2 that a breakpoint saw");
}

// seccomp has refused it, or a debugger.
TEST(TrapProof, ForgivesOne) {
  TrapProof proof;
  for (const bool is_noticed : {true, false, true, true, true, true, true, true, true}) {
    proof.entered(100, 39);
    if (is_noticed) proof.noticed(100, 39);
  }
  EXPECT_TRUE(proof.is_complete());
  EXPECT_FALSE(proof.has_failed());
  EXPECT_EQ(proof.to_string(), "noticed 8 of 9 that a breakpoint saw");
}

TEST(TrapProof, DoesNotMindThreadsThatSleepInTheKernel) {
  TrapProof proof;
  for (std::uint32_t tid = 1; tid <= 4; ++tid) proof.entered(tid, 0);
  for (std::uint32_t tid = 4; tid >= 1; --tid) proof.noticed(tid, 0);
  EXPECT_FALSE(proof.has_failed());
  EXPECT_EQ(proof.to_string(), "noticed 4 of 4 that a breakpoint saw");
}

TEST(TrapProof, TakesNoOtherSyscallForThisOne) {
  TrapProof proof;
  for (unsigned i = 0; i < 3; ++i) {
    proof.entered(100, 39);
    proof.noticed(100, 40);
    proof.noticed(101, 39);
  }
  EXPECT_TRUE(proof.has_failed());
}

TEST(TrapProof, ProvesNothingInAnIdleGuest) {
  TrapProof proof;
  proof.noticed(100, 39);
  EXPECT_FALSE(proof.is_complete());
  EXPECT_EQ(proof.to_string(), "unproven: nobody came this way");
  proof.entered(100, 39);  // and sleeps
  EXPECT_EQ(proof.to_string(), "unproven: nobody came this way");
}

}  // namespace
}  // namespace swat::daemon
