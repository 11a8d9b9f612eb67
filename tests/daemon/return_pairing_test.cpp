#include "daemon/return_pairing.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "collector.hpp"

namespace swat::daemon {
namespace {

using namespace std::chrono_literals;
using os::SyscallEntry;
using Outcome = ReturnEvent::Outcome;

Actor actor_of(std::uint64_t object, std::uint32_t tid, std::uint32_t pid = 0,
               std::uint32_t parent = 1) {
  Actor actor;
  actor.thread.object = Va{object};
  actor.thread.tid = tid;
  actor.thread.process.pid = pid == 0 ? tid : pid;
  actor.thread.process.object = actor.thread.object;
  actor.thread.process.parent_pid = parent;
  actor.scene.pid = actor.thread.process.pid;
  actor.scene.tid = tid;
  return actor;
}

// A guest of a few threads, and the return events that they have led to.
class Returns : public testing::Test {
 protected:
  Returns() { log_.add(std::make_unique<Collector>(events_)); }

  LoggedCall call(std::uint64_t sequence, std::string_view name,
                  SyscallEntry::Kind entry = SyscallEntry::Kind::kSyscall) {
    return {sequence, os::linux_os::find_abi(entry), 7, name, Va{0x1002}};
  }
  void enter(const Actor& actor, std::uint64_t sequence, std::string_view name,
             SyscallEntry::Kind entry = SyscallEntry::Kind::kSyscall) {
    pairing.meet(actor);
    pairing.enter(call(sequence, name, entry), actor, start);
  }
  void leave(const Actor& actor, std::int64_t rax) {
    pairing.meet(actor);
    pairing.leave(actor, static_cast<std::uint64_t>(rax), start + 5ms);
  }

  [[nodiscard]] std::size_t count() const { return events_.size(); }
  [[nodiscard]] const Event& at(std::size_t i) const { return events_.at(i); }
  [[nodiscard]] const ReturnEvent& end(std::size_t i) const {
    return std::get<ReturnEvent>(events_.at(i).what);
  }

  const ReturnPairing::Clock::time_point start{1h};
  const Actor a = actor_of(0xa000, 10);
  const Actor b = actor_of(0xb000, 11);

 private:
  std::vector<Event> events_;
  EventLog log_;

 protected:
  ReturnPairing pairing{log_};
};

TEST_F(Returns, BelongToTheCallOfTheirThread) {
  enter(a, 1, "read");
  enter(b, 2, "write");
  leave(a, 3);
  leave(b, -2);
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(at(0).tid, 10u);
  EXPECT_EQ(end(0).call, 1u);
  EXPECT_EQ(end(0).name, "read");
  EXPECT_EQ(end(0).result, 3);
  EXPECT_EQ(end(0).error, "");
  EXPECT_EQ(end(0).outcome, Outcome::kReturned);
  EXPECT_EQ(at(1).tid, 11u);
  EXPECT_EQ(end(1).call, 2u);
  EXPECT_EQ(end(1).result, -2);
  EXPECT_EQ(end(1).error, "ENOENT");
}

TEST_F(Returns, TellHowLongTheCallTook) {
  Actor later = a;
  Actor sooner = a;
  sooner.scene.guest_time_ns = 1'000'000;
  later.scene.guest_time_ns = 5'000'000;
  enter(sooner, 1, "read");
  leave(later, 0);
  EXPECT_EQ(end(0).duration, 5ms);
  EXPECT_EQ(end(0).guest_duration, 4ms);
}

TEST_F(Returns, TellNoDurationOfAClockThatWasSetBack) {
  Actor later = a;
  Actor sooner = a;
  sooner.scene.guest_time_ns = 5'000'000;
  later.scene.guest_time_ns = 1'000'000;
  enter(sooner, 1, "clock_settime");
  leave(later, 0);
  EXPECT_EQ(end(0).guest_duration, std::nullopt);
}

TEST_F(Returns, OfCallsThatBeganBeforeTracingAreNoEvents) {
  leave(a, 3);
  EXPECT_EQ(count(), 0u);
}

TEST_F(Returns, ComeOnce) {
  enter(a, 1, "read");
  leave(a, 3);
  leave(a, 3);
  EXPECT_EQ(count(), 1u);
}

TEST_F(Returns, Of32BitCallsAreOf32Bits) {
  enter(a, 1, "open", SyscallEntry::Kind::kInt80);
  leave(a, 0xfffffffe);
  enter(a, 2, "mmap2", SyscallEntry::Kind::kInt80);
  leave(a, 0xf7f00000);
  EXPECT_EQ(end(0).result, -2);
  EXPECT_EQ(end(0).error, "ENOENT");
  EXPECT_EQ(end(1).result, 0xf7f00000);
  EXPECT_EQ(end(1).error, "");
}

// --- Signals

TEST_F(Returns, KeepWhatASignalWouldHide) {
  enter(a, 1, "read");
  pairing.peeked(a.thread, static_cast<std::uint64_t>(-512));  // syscall_get_error()
  pairing.peeked(a.thread, static_cast<std::uint64_t>(-4));    // setup_sigcontext()
  leave(a, 0);                                                 // rax of the handler
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).result, -512);
  EXPECT_EQ(end(0).error, "ERESTARTSYS");
  EXPECT_EQ(end(0).outcome, Outcome::kInterrupted);
}

TEST_F(Returns, OfACallThatWasDoneWhenTheSignalCameAreItsOwn) {
  enter(a, 1, "write");
  pairing.peeked(a.thread, 5);
  leave(a, 0);
  EXPECT_EQ(end(0).result, 5);
  EXPECT_EQ(end(0).outcome, Outcome::kReturned);
}

// seccomp looks at where the call came from, before there is a result.
TEST_F(Returns, AreInTheRegisterWhereUserModeGoesOnBehindTheCall) {
  enter(a, 1, "read");
  pairing.peeked(a.thread, 3);
  pairing.leave(a, 9, start, Va{0x1002});
  EXPECT_EQ(end(0).result, 9);
  enter(a, 2, "read");
  pairing.peeked(a.thread, 5);
  pairing.leave(a, 10, start, Va{0x401000});  // a handler
  EXPECT_EQ(end(1).result, 5);
}

// As ARM's kernel does it where a signal has no handler: user mode is not reached in between.
TEST_F(Returns, OfACallThatTheKernelRestartsItselfAreTwo) {
  enter(a, 1, "read");
  pairing.peeked(a.thread, static_cast<std::uint64_t>(-512));
  enter(a, 2, "read");
  leave(a, 1);
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(0).call, 1u);
  EXPECT_EQ(end(0).outcome, Outcome::kInterrupted);
  EXPECT_EQ(end(0).error, "ERESTARTSYS");
  EXPECT_EQ(end(1).call, 2u);
  EXPECT_EQ(end(1).result, 1);
}

TEST_F(Returns, AreMissedWhereTheNextCallComesFirst) {
  enter(a, 1, "read");
  pairing.peeked(a.thread, 3);
  enter(a, 2, "read");
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).outcome, Outcome::kMissed);
}

TEST_F(Returns, AreNotWhatTheEntryPathSavesForThem) {
  enter(a, 1, "read");
  pairing.peeked(a.thread, static_cast<std::uint64_t>(-38));
  leave(a, 9);
  EXPECT_EQ(end(0).result, 9);
}

// copy_thread() copies the saved registers; before Linux 4.2 with the number where the result will
// be.
TEST_F(Returns, OfAForkAreNotWhatItsCopyingReads) {
  enter(a, 1, "clone");
  pairing.peeked(a.thread, 7);
  leave(a, 12);
  EXPECT_EQ(end(0).result, 12);
}

TEST_F(Returns, Of32BitCallsAreNotTheirNumbers) {
  enter(a, 1, "getpid", SyscallEntry::Kind::kInt80);
  pairing.peeked(a.thread, 7);
  leave(a, 12);
  EXPECT_EQ(end(0).result, 12);
}

TEST_F(Returns, OfARestartedCallAreTwo) {
  enter(a, 1, "read");
  pairing.peeked(a.thread, static_cast<std::uint64_t>(-512));
  leave(a, 0);
  enter(a, 2, "rt_sigreturn");
  leave(a, 0);
  enter(a, 3, "read");
  leave(a, 1);
  ASSERT_EQ(count(), 3u);
  EXPECT_EQ(end(2).call, 3u);
  EXPECT_EQ(end(2).result, 1);
}

TEST_F(Returns, SeeASignalByWhereUserModeGoesOn) {
  enter(a, 1, "read");
  EXPECT_FALSE(pairing.is_interrupted(a.thread, Va{0x1002}));
  EXPECT_TRUE(pairing.is_interrupted(a.thread, Va{0x1000}));    // once more
  EXPECT_TRUE(pairing.is_interrupted(a.thread, Va{0x401000}));  // a handler
  pairing.interrupt(a, start);
  EXPECT_EQ(end(0).outcome, Outcome::kInterrupted);
  EXPECT_EQ(end(0).result, std::nullopt);
}

TEST_F(Returns, KnowTheResultOfACallThatASignalHasMetOnceItIsPeeked) {
  enter(a, 1, "kill");
  pairing.peeked(a.thread, 0);
  EXPECT_FALSE(pairing.is_interrupted(a.thread, Va{0x401000}));
  leave(a, 0x7ffc00000000);  // for the handler
  EXPECT_EQ(end(0).outcome, Outcome::kReturned);
  EXPECT_EQ(end(0).result, 0);
}

TEST_F(Returns, GoElsewhereWithoutASignalFromExecveAndSigreturn) {
  for (const char* name : {"execve", "rt_sigreturn"}) {
    enter(a, 1, name);
    EXPECT_FALSE(pairing.is_interrupted(a.thread, Va{0x401000})) << name;
    leave(a, 0);
  }
}

// --- Forks

TEST_F(Returns, OfAForkComeInTheChildToo) {
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

TEST_F(Returns, OfAVforkComeInTheChildFirst) {
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

TEST_F(Returns, OfACloneComeInTheNewThread) {
  enter(a, 1, "clone3");
  leave(a, 20);
  pairing.meet(actor_of(0xc000, 20, 10));
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(1).outcome, Outcome::kInChild);
  EXPECT_EQ(at(1).pid, 10u);
  EXPECT_EQ(at(1).tid, 20u);
}

// It may have been there all the time.
TEST_F(Returns, InAThreadThatIsMetFirstWaitForTheClones) {
  enter(a, 1, "clone3");
  pairing.meet(actor_of(0xc000, 20, 10));
  pairing.meet(actor_of(0xd000, 19, 10));
  EXPECT_EQ(count(), 0u);
  leave(a, 20);
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(1).outcome, Outcome::kInChild);
  EXPECT_EQ(at(1).tid, 20u);
}

TEST_F(Returns, InAChildWaitUntilItIsCertainWhose) {
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

TEST_F(Returns, OfAForkAreNotSeenInAProcessThatWasThereBefore) {
  const Actor old = actor_of(0xc000, 20, 20, 10);
  pairing.begin(std::vector{old.thread.process});
  enter(a, 1, "fork");
  pairing.meet(old);
  EXPECT_EQ(count(), 0u);
}

TEST_F(Returns, OfAForkAreNotSeenInSomebodyElsesChild) {
  enter(a, 1, "fork");
  pairing.meet(actor_of(0xc000, 20, 20, 99));
  EXPECT_EQ(count(), 0u);
}

TEST_F(Returns, OfAForkThatFailsComeNowhereElse) {
  enter(a, 1, "fork");
  leave(a, -11);
  pairing.meet(actor_of(0xc000, 20, 20, 10));
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).error, "EAGAIN");
}

// --- Calls that do not return

TEST_F(Returns, OfExitAreNever) {
  enter(a, 1, "exit");
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).outcome, Outcome::kNever);
  EXPECT_EQ(end(0).result, std::nullopt);
  EXPECT_FALSE(pairing.is_in_call(a.thread));
}

TEST_F(Returns, OfOtherThreadsEndWithTheirProcess) {
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

TEST_F(Returns, OfOtherThreadsOutliveOneThatExits) {
  enter(actor_of(0xb000, 11, 10), 1, "read");
  enter(a, 2, "exit");
  EXPECT_EQ(count(), 1u);
}

// The thread that calls execve takes its process's number, and is the only one left.
TEST_F(Returns, OfExecveComeUnderAnotherNumber) {
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

TEST_F(Returns, OfAnExecveThatFailsLeaveTheOthersAlone) {
  enter(actor_of(0xb000, 11, 10), 1, "futex");
  enter(a, 2, "execve");
  leave(a, -2);
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).error, "ENOENT");
}

TEST_F(Returns, OfADeadThreadAreNotItsSuccessors) {
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

TEST_F(Returns, OfProcessesThatAreGoneAreDead) {
  enter(a, 1, "pause");
  enter(b, 2, "pause");
  pairing.reap([](std::uint32_t pid) { return pid != 10; });
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(end(0).call, 1u);
  EXPECT_EQ(end(0).outcome, Outcome::kDied);
  EXPECT_TRUE(pairing.is_in_call(b.thread));
}

TEST_F(Returns, ThatWereNotSeenAreSaidToBeMissed) {
  enter(a, 1, "read");
  enter(a, 2, "write");
  pairing.miss(a.thread);
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(end(0).outcome, Outcome::kMissed);
  EXPECT_EQ(end(1).outcome, Outcome::kMissed);
  leave(a, 3);
  EXPECT_EQ(count(), 2u);
}

TEST_F(Returns, AreUnfinishedWhenTracingEnds) {
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
