#include "daemon/call_pairing.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "collector.hpp"

namespace swat::daemon {
namespace {

using namespace std::chrono_literals;
using Outcome = CallReturnEvent::Outcome;

constexpr Va kBack{0x401105};
constexpr Va kTop{0x7ffe0000};  // of a stack: calls are below

Actor actor_of(std::uint64_t object, std::uint32_t tid, std::uint64_t memory = 0x111000) {
  Actor actor;
  actor.thread.object = Va{object};
  actor.thread.tid = tid;
  actor.thread.process.pid = 10;
  actor.thread.process.memory_object = Va{memory};
  actor.scene.pid = 10;
  actor.scene.key = actor.thread.process.key = os::ProcessKey{10};
  actor.scene.tid = tid;
  return actor;
}

UserPlace behind(Va slot, Va back = kBack) { return {back, slot + 8}; }

class CallPairingTest : public testing::Test {
 protected:
  CallPairingTest() { log_.add(std::make_unique<Collector>(events_)); }

  void enter(const Actor& actor, std::uint64_t sequence, Va slot, Va back = kBack,
             bool is_anew = false) {
    pairing.meet(actor.thread);
    LoggedFunction call{sequence, Va{0x7f0000001000}, "strlen", "libc.so.6", {}};
    call.frame = CallFrame{Va{0x7f0000001000}, slot, back, 8};
    pairing.enter(call, is_anew, actor, start);
  }
  void leave(const Actor& actor, const UserPlace& place, std::uint64_t result = 0) {
    pairing.meet(actor.thread);
    pairing.leave(actor, place, result, start + 5ms);
  }
  // "SEQUENCE outcome" of each return so far, in order.
  [[nodiscard]] std::vector<std::string> ends() const {
    std::vector<std::string> lines;
    for (const Event& event : events_) {
      const auto& done = std::get<CallReturnEvent>(event.what);
      lines.push_back(std::to_string(done.call) + " " + std::string(to_string(done.outcome)));
    }
    return lines;
  }
  [[nodiscard]] const CallReturnEvent& end(std::size_t i) const {
    return std::get<CallReturnEvent>(events_.at(i).what);
  }

  const CallPairing::Clock::time_point start{1h};
  const Actor a = actor_of(0xa000, 11);
  const Actor b = actor_of(0xb000, 12);
  using Lines = std::vector<std::string>;

  std::vector<Event> events_;

 private:
  EventLog log_;

 protected:
  CallPairing pairing{log_};
};

TEST_F(CallPairingTest, ReturnsWhereTheCallerGoesOnWithItsStackPopped) {
  enter(a, 1, kTop - 0x100);
  EXPECT_FALSE(pairing.has_returned(a.thread, {kBack, kTop - 0x100}));
  EXPECT_FALSE(pairing.has_returned(a.thread, {kBack + 1, kTop - 0xf8}));
  ASSERT_TRUE(pairing.has_returned(a.thread, behind(kTop - 0x100)));
  leave(a, behind(kTop - 0x100), 5);
  EXPECT_EQ(ends(), (Lines{"1 returned"}));
  EXPECT_EQ(end(0).result, 5u);
  EXPECT_EQ(end(0).duration, 5ms);
  EXPECT_EQ(end(0).function, "strlen");
  EXPECT_EQ(end(0).module, "libc.so.6");
  EXPECT_EQ(pairing.size(), 0u);
}

TEST_F(CallPairingTest, IsOfTheThreadThatCalled) {
  enter(a, 1, kTop - 0x100);
  EXPECT_TRUE(pairing.may_have_returned(behind(kTop - 0x100)));
  EXPECT_FALSE(pairing.has_returned(b.thread, behind(kTop - 0x100)));
  leave(b, behind(kTop - 0x100));
  EXPECT_EQ(ends(), Lines{});
}

TEST_F(CallPairingTest, NestsAsTheStackDoes) {
  enter(a, 1, kTop - 0x100);
  enter(a, 2, kTop - 0x200);
  leave(a, behind(kTop - 0x200), 7);
  leave(a, behind(kTop - 0x100), 8);
  EXPECT_EQ(ends(), (Lines{"2 returned", "1 returned"}));
  EXPECT_EQ(end(1).result, 8u);
}

// Both wait in one word.
TEST_F(CallPairingTest, ATailCallReturnsWithTheCallThatMadeIt) {
  enter(a, 1, kTop - 0x100);
  enter(a, 2, kTop - 0x100);
  leave(a, behind(kTop - 0x100), 9);
  EXPECT_EQ(ends(), (Lines{"2 returned", "1 returned"}));
  EXPECT_EQ(end(1).result, 9u);
}

// --- longjmp

TEST_F(CallPairingTest, IsUnwoundWhenItsThreadReturnsFurtherUp) {
  enter(a, 1, kTop - 0x100);
  enter(a, 2, kTop - 0x200);
  leave(a, behind(kTop - 0x100));
  EXPECT_EQ(ends(), (Lines{"2 unwound", "1 returned"}));
  EXPECT_EQ(pairing.unwound(), 1u);
}

TEST_F(CallPairingTest, IsUnwoundWhenItsThreadCallsFurtherUp) {
  enter(a, 1, kTop - 0x200);
  enter(b, 2, kTop - 0x210);
  enter(a, 3, kTop - 0x100);
  EXPECT_EQ(ends(), (Lines{"1 unwound"}));
}

TEST_F(CallPairingTest, IsUnwoundWhenItsWordHoldsAnotherReturnAddress) {
  enter(a, 1, kTop - 0x100);
  enter(a, 2, kTop - 0x100, kBack + 0x40);
  EXPECT_EQ(ends(), (Lines{"1 unwound"}));
}

// The same instruction has called again: the word is the same, the call before is gone.
TEST_F(CallPairingTest, IsUnwoundWhenItsCallerCallsAnew) {
  enter(a, 1, kTop - 0x100);
  CallFrame frame{Va{0x7f0000001000}, kTop - 0x100, kBack, 8};
  EXPECT_TRUE(pairing.waits_in(a.thread, frame));
  EXPECT_FALSE(pairing.waits_in(b.thread, frame));
  enter(a, 2, kTop - 0x100, kBack, true);
  EXPECT_EQ(ends(), (Lines{"1 unwound"}));
}

// Signals and coroutines have stacks of their own.
TEST_F(CallPairingTest, IsNotUnwoundByWhatHappensOnAnotherStack) {
  enter(a, 1, kTop - 0x100);
  enter(a, 2, kTop + 0x100000);
  leave(a, behind(kTop + 0x100000));
  leave(a, behind(kTop - 0x100));
  EXPECT_EQ(ends(), (Lines{"2 returned", "1 returned"}));
}

TEST_F(CallPairingTest, IsUnwoundWhenItsThreadReadsSomethingElseInItsWord) {
  enter(a, 1, kTop - 0x100);
  pairing.read(a, kTop - 0x100, kBack.value);  // setjmp does
  pairing.read(a, kTop - 0x100, std::nullopt);
  pairing.read(b, kTop - 0x100, 3);  // another process's word at this address
  EXPECT_EQ(ends(), Lines{});
  pairing.read(a, kTop - 0x100, 3);
  EXPECT_EQ(ends(), (Lines{"1 unwound"}));
}

// --- Calls that do not return

TEST_F(CallPairingTest, NeverReturnsFromExecve) {
  enter(a, 1, kTop - 0x100);
  pairing.meet(actor_of(0xa000, 10, 0x222000).thread);
  EXPECT_EQ(ends(), (Lines{"1 never"}));
}

TEST_F(CallPairingTest, DiesWithItsThread) {
  enter(a, 1, kTop - 0x100);
  enter(b, 2, kTop - 0x100);
  pairing.meet(actor_of(0xa000, 15).thread);
  EXPECT_EQ(ends(), (Lines{"1 died"}));
  pairing.reap([](os::ProcessKey process) { return process == os::ProcessKey{10}; });
  EXPECT_EQ(ends(), (Lines{"1 died"}));
  pairing.reap([](os::ProcessKey) { return false; });
  EXPECT_EQ(ends(), (Lines{"1 died", "2 died"}));
}

TEST_F(CallPairingTest, IsUnfinishedWhenTracingEnds) {
  enter(a, 1, kTop - 0x100);
  enter(a, 2, kTop - 0x200);
  pairing.finish();
  EXPECT_EQ(ends(), (Lines{"2 unfinished", "1 unfinished"}));
}

// --- Bounds

TEST_F(CallPairingTest, GivesUpTheOldestOfTooManyCalls) {
  for (std::uint64_t i = 0; i <= CallPairing::kMost; ++i) enter(a, i + 1, kTop - 16 * i);
  EXPECT_EQ(ends(), (Lines{"1 missed"}));
  EXPECT_EQ(pairing.size(), CallPairing::kMost);
  EXPECT_EQ(pairing.missed(), 1u);
  EXPECT_FALSE(pairing.needs(kTop, 8));
  EXPECT_TRUE(pairing.needs(kTop - 16, 8));
}

TEST_F(CallPairingTest, GivesUpAWordThatIsReadAllTheTime) {
  enter(a, 1, kTop - 0x100);
  for (unsigned i = 1; i < CallPairing::kMostReads; ++i) pairing.read(b, kTop - 0x100, 3);
  EXPECT_EQ(ends(), Lines{});
  pairing.read(b, kTop - 0x100, 3);
  EXPECT_EQ(ends(), (Lines{"1 missed"}));
}

// --- System calls, by the frame of the stub that makes them

LoggedCall syscall(std::uint64_t sequence, Va slot) {
  LoggedCall call{sequence, os::find_abi(os::SyscallEntry::Kind::kNtSyscall), 0xf, "NtClose", {}};
  call.frame = CallFrame{{}, slot, kBack, 8};
  return call;
}

TEST_F(CallPairingTest, ASystemCallReturnsWithTheFunctionThatItIs) {
  enter(a, 1, kTop - 0x100);
  pairing.enter(syscall(2, kTop - 0x100), a, start);
  const auto name = [](const LoggedCall& call, ReturnEvent& event) {
    event.error = call.name == "NtClose" ? "STATUS_PENDING" : "?";
  };
  pairing.leave(a, behind(kTop - 0x100), 0x103, start + 5ms, name);
  ASSERT_EQ(events_.size(), 2u);
  const auto& done = std::get<ReturnEvent>(events_.at(0).what);
  EXPECT_EQ(done.call, 2u);
  EXPECT_EQ(done.name, "NtClose");
  EXPECT_EQ(done.result, 0x103);
  EXPECT_EQ(done.error, "STATUS_PENDING");
  EXPECT_EQ(done.duration, 5ms);
  EXPECT_EQ(end(1).call, 1u);
  EXPECT_EQ(pairing.size(), 0u);
}

TEST_F(CallPairingTest, AnotherSystemCallFromTheSamePlaceEndsTheOneBefore) {
  enter(a, 1, kTop - 0x100);
  pairing.enter(syscall(2, kTop - 0x100), a, start);
  pairing.enter(syscall(3, kTop - 0x100), a, start);
  ASSERT_EQ(events_.size(), 1u);  // and not the function's
  EXPECT_EQ(std::get<ReturnEvent>(events_.at(0).what).call, 2u);
  EXPECT_EQ(std::get<ReturnEvent>(events_.at(0).what).outcome, Outcome::kMissed);
}

// Main stacks of other processes are at the same place, and the call may wait long.
TEST_F(CallPairingTest, OthersMayReadAWaitingSystemCallsWordForLong) {
  pairing.enter(syscall(1, kTop - 0x100), a, start);
  for (unsigned i = 1; i < CallPairing::kMostReadsByOthers; ++i) {
    pairing.read(b, kTop - 0x100, {});
  }
  EXPECT_EQ(pairing.size(), 1u);
  pairing.read(b, kTop - 0x100, {});
  EXPECT_EQ(pairing.size(), 0u);
  pairing.enter(syscall(2, kTop - 0x100), a, start);
  for (unsigned i = 0; i < CallPairing::kMostReads; ++i) pairing.read(a, kTop - 0x100, {});
  EXPECT_EQ(pairing.size(), 0u);
}

TEST_F(CallPairingTest, KnowsWhetherWhatIsWrittenWillBeAsked) {
  const os::Prototype close{"NTSTATUS", "NtClose", {}};
  LoggedCall call = syscall(1, kTop - 0x100);
  pairing.enter(call, a, start);
  EXPECT_FALSE(pairing.tells_written(a.thread, kTop - 0x100));
  call.prototype = &close;
  pairing.enter(call, a, start);
  EXPECT_TRUE(pairing.tells_written(a.thread, kTop - 0x100));
  EXPECT_FALSE(pairing.tells_written(b.thread, kTop - 0x100));
}

// --- 32-bit

TEST_F(CallPairingTest, A32BitCalleeMayPopArguments) {
  LoggedFunction call{1, Va{0x8049000}, "div", "libc.so.6", {}};
  call.frame = CallFrame{Va{0x8049000}, Va{0xffffd000}, Va{0x8048105}, 4};
  pairing.enter(call, false, a, start);
  EXPECT_FALSE(pairing.has_returned(a.thread, {Va{0x8048105}, Va{0xffffd000}}));
  ASSERT_TRUE(pairing.has_returned(a.thread, {Va{0x8048105}, Va{0xffffd008}}));
  leave(a, {Va{0x8048105}, Va{0xffffd008}}, 0xdead0000ffffffff);
  EXPECT_EQ(end(0).result, 0xffffffffu);
}

}  // namespace
}  // namespace swat::daemon
