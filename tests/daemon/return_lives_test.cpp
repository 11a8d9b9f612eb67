#include "returns_fixture.hpp"

namespace swat::daemon {
namespace {

using Outcome = ReturnEvent::Outcome;

// Of calls by which threads and processes begin and end.
class ReturnsOfLives : public Returns {};

// --- Forks

TEST_F(ReturnsOfLives, OfAForkComeInTheChildToo) {
  enter(a, 1, "clone");
  leave(a, 20);
  const Actor child = actor_of(0xc000, 20, 20, 10);
  enter(child, 2, "getpid");
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(at(1).tid, 20u);
  EXPECT_EQ(end(1).call, 1u);
  EXPECT_EQ(end(1).name, "clone");
  EXPECT_EQ(end(1).result, 0);
  EXPECT_EQ(end(1).outcome, Outcome::kInChild);
  pairing.meet(child);
  EXPECT_EQ(count(), 2u);
}

TEST_F(ReturnsOfLives, OfAVforkComeInTheChildFirst) {
  enter(a, 1, "vfork");
  const Actor child = actor_of(0xc000, 20, 20, 10);
  enter(child, 2, "execve");
  leave(child, 0);
  leave(a, 20);
  ASSERT_EQ(count(), 3u);
  EXPECT_EQ(end(0).outcome, Outcome::kInChild);
  EXPECT_EQ(at(0).tid, 20u);
  EXPECT_EQ(end(1).call, 2u);
  EXPECT_EQ(end(2).outcome, Outcome::kReturned);
  EXPECT_EQ(end(2).result, 20);
}

TEST_F(ReturnsOfLives, OfACloneComeInTheNewThread) {
  enter(a, 1, "clone3");
  leave(a, 20);
  pairing.meet(actor_of(0xc000, 20, 10));
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(1).outcome, Outcome::kInChild);
  EXPECT_EQ(at(1).pid, 10u);
  EXPECT_EQ(at(1).tid, 20u);
}

// It may have been there all the time.
TEST_F(ReturnsOfLives, InAThreadThatIsMetFirstWaitForTheClones) {
  enter(a, 1, "clone3");
  pairing.meet(actor_of(0xc000, 20, 10));
  pairing.meet(actor_of(0xd000, 19, 10));
  EXPECT_EQ(count(), 0u);
  leave(a, 20);
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(1).outcome, Outcome::kInChild);
  EXPECT_EQ(at(1).tid, 20u);
}

TEST_F(ReturnsOfLives, InAChildWaitUntilItIsCertainWhose) {
  const Actor sibling = actor_of(0xb000, 11, 10);
  enter(a, 1, "fork");
  enter(sibling, 2, "fork");
  const Actor child = actor_of(0xc000, 20, 20, 10);
  pairing.meet(child);
  EXPECT_EQ(count(), 0u);
  leave(a, 21);
  EXPECT_EQ(count(), 1u);
  leave(sibling, 20);
  ASSERT_EQ(count(), 3u);
  EXPECT_EQ(end(2).outcome, Outcome::kInChild);
  EXPECT_EQ(end(2).call, 2u);
  EXPECT_EQ(at(2).tid, 20u);
}

TEST_F(ReturnsOfLives, OfAForkAreNotSeenInAProcessThatWasThereBefore) {
  const Actor old = actor_of(0xc000, 20, 20, 10);
  pairing.begin(std::vector{old.thread.process});
  enter(a, 1, "fork");
  pairing.meet(old);
  EXPECT_EQ(count(), 0u);
}

TEST_F(ReturnsOfLives, OfAForkAreNotSeenInSomebodyElsesChild) {
  enter(a, 1, "fork");
  pairing.meet(actor_of(0xc000, 20, 20, 99));
  EXPECT_EQ(count(), 0u);
}

TEST_F(ReturnsOfLives, OfAForkThatFailsComeNowhereElse) {
  enter(a, 1, "fork");
  leave(a, -11);
  pairing.meet(actor_of(0xc000, 20, 20, 10));
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).error, "EAGAIN");
}

// --- Calls that do not return

TEST_F(ReturnsOfLives, OfExitAreNever) {
  enter(a, 1, "exit");
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).outcome, Outcome::kNever);
  EXPECT_EQ(end(0).result, std::nullopt);
  EXPECT_FALSE(pairing.is_in_call(a.thread));
}

TEST_F(ReturnsOfLives, OfOtherThreadsEndWithTheirProcess) {
  const Actor sibling = actor_of(0xb000, 11, 10);
  enter(sibling, 1, "read");
  enter(actor_of(0xc000, 20), 2, "read");
  enter(a, 3, "exit_group");
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(0).outcome, Outcome::kNever);
  EXPECT_EQ(end(1).call, 1u);
  EXPECT_EQ(end(1).outcome, Outcome::kDied);
  EXPECT_EQ(at(1).tid, 11u);
}

TEST_F(ReturnsOfLives, OfOtherThreadsOutliveOneThatExits) {
  enter(actor_of(0xb000, 11, 10), 1, "read");
  enter(a, 2, "exit");
  EXPECT_EQ(count(), 1u);
}

// The thread that calls execve takes its process's number, and is the only one left.
TEST_F(ReturnsOfLives, OfExecveComeUnderAnotherNumber) {
  const Actor first = actor_of(0xa000, 10, 10);
  const Actor second = actor_of(0xb000, 11, 10);
  enter(first, 1, "futex");
  enter(second, 2, "execve");
  leave(actor_of(0xb000, 10, 10), 0);
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(0).call, 2u);
  EXPECT_EQ(end(0).result, 0);
  EXPECT_EQ(at(0).tid, 10u);
  EXPECT_EQ(end(1).call, 1u);
  EXPECT_EQ(end(1).outcome, Outcome::kDied);
}

TEST_F(ReturnsOfLives, OfAnExecveThatFailsLeaveTheOthersAlone) {
  enter(actor_of(0xb000, 11, 10), 1, "futex");
  enter(a, 2, "execve");
  leave(a, -2);
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).error, "ENOENT");
}

TEST_F(ReturnsOfLives, OfADeadThreadAreNotItsSuccessors) {
  enter(a, 1, "pause");
  const Actor successor = actor_of(0xa000, 77);  // the kernel uses the object again
  enter(successor, 2, "read");
  leave(successor, 4);
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(0).call, 1u);
  EXPECT_EQ(end(0).outcome, Outcome::kDied);
  EXPECT_EQ(end(1).call, 2u);
  EXPECT_EQ(end(1).result, 4);
}

TEST_F(ReturnsOfLives, OfProcessesThatAreGoneAreDead) {
  enter(a, 1, "pause");
  enter(b, 2, "pause");
  pairing.reap([](os::ProcessKey process) { return process != os::ProcessKey{10}; });
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).call, 1u);
  EXPECT_EQ(end(0).outcome, Outcome::kDied);
  EXPECT_TRUE(pairing.is_in_call(b.thread));
}

TEST_F(ReturnsOfLives, ThatWereNotSeenAreSaidToBeMissed) {
  enter(a, 1, "read");
  enter(a, 2, "write");
  pairing.miss(a.thread);
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(0).outcome, Outcome::kMissed);
  EXPECT_EQ(end(1).outcome, Outcome::kMissed);
  leave(a, 3);
  EXPECT_EQ(count(), 2u);
}

TEST_F(ReturnsOfLives, AreUnfinishedWhenTracingEnds) {
  enter(a, 1, "read");
  enter(b, 2, "poll");
  pairing.finish();
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(0).outcome, Outcome::kUnfinished);
  EXPECT_EQ(end(1).outcome, Outcome::kUnfinished);
  pairing.finish();
  EXPECT_EQ(count(), 2u);
}

}  // namespace
}  // namespace swat::daemon
