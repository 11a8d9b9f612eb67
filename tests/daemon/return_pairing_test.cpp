#include "returns_fixture.hpp"

namespace swat::daemon {
namespace {

using namespace std::chrono_literals;
using os::SyscallEntry;
using Outcome = ReturnEvent::Outcome;

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

}  // namespace
}  // namespace swat::daemon
