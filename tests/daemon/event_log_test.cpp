#include "daemon/event_log.hpp"

#include <gtest/gtest.h>

namespace swat::daemon {
namespace {

struct Seen {
  std::vector<Event> events;
  unsigned flushes = 0;
};

class Collector final : public Sink {
 public:
  Collector(Seen& seen, bool full) : seen_(seen), full_(full) {}
  void write(const Event& event) override { seen_.events.push_back(event); }
  Result<> flush() override {
    ++seen_.flushes;
    return full_ ? Result<>(fail(Errc::kUnsupported, "full")) : Result<>();
  }

 private:
  Seen& seen_;
  bool full_;
};

TEST(EventLog, NumbersEventsFromOneWithoutHoles) {
  Seen seen;
  EventLog log;
  log.add(std::make_unique<Collector>(seen, false));
  EXPECT_EQ(log.write({}, SyscallEvent{}), 1u);
  EXPECT_EQ(log.write({}, ModuleEvent{}), 2u);
  EXPECT_EQ(log.write({}, CallEvent{}), 3u);
  for (std::size_t i = 0; i < seen.events.size(); ++i) EXPECT_EQ(seen.events[i].sequence, i + 1);
  EXPECT_EQ(log.written(), 3u);
}

TEST(EventLog, CountsSyscallsAndCallsAsTraced) {
  EventLog log;
  log.write({}, SyscallEvent{});
  log.write({}, CallEvent{});
  log.write({}, ModuleEvent{});
  log.write({}, ProcessEvent{});
  log.write({}, GapEvent{});
  EXPECT_EQ(log.traced(), 2u);
}

TEST(EventLog, GivesEveryEventItsOwnScene) {
  Seen seen;
  EventLog log;
  log.add(std::make_unique<Collector>(seen, false));
  log.write({1, Pa{0x1000}, 10, 11, "a"}, SyscallEvent{});
  log.write({}, GapEvent{});
  ASSERT_EQ(seen.events.size(), 2u);
  EXPECT_EQ(seen.events[0].vcpu, 1u);
  EXPECT_EQ(seen.events[0].address_space, Pa{0x1000});
  EXPECT_EQ(seen.events[0].pid, 10u);
  EXPECT_EQ(seen.events[0].tid, 11u);
  EXPECT_EQ(seen.events[0].process, "a");
  EXPECT_EQ(seen.events[1].pid, 0u);
  EXPECT_EQ(seen.events[1].process, "");
}

TEST(EventLog, StampsEventsInOrder) {
  Seen seen;
  EventLog log;
  log.add(std::make_unique<Collector>(seen, false));
  const auto before = std::chrono::system_clock::now();
  log.write({}, GapEvent{});
  ASSERT_EQ(seen.events.size(), 1u);
  EXPECT_GE(seen.events[0].host_time, before);
  EXPECT_LE(seen.events[0].host_time, std::chrono::system_clock::now());
}

TEST(EventLog, HandsEveryEventToEverySink) {
  Seen first;
  Seen second;
  EventLog log;
  log.add(std::make_unique<Collector>(first, false));
  log.add(std::make_unique<Collector>(second, false));
  log.write({}, GapEvent{});
  EXPECT_EQ(first.events.size(), 1u);
  EXPECT_EQ(second.events.size(), 1u);
}

// Sinks are independent of each other: a full disk under one must not hold up another.
TEST(EventLog, FlushesTheOtherSinksWhenOneFails) {
  Seen full;
  Seen fine;
  EventLog log;
  log.add(std::make_unique<Collector>(full, true));
  log.add(std::make_unique<Collector>(fine, false));
  EXPECT_EQ(log.flush().error().code, Errc::kUnsupported);
  EXPECT_EQ(fine.flushes, 1u);
}

// --- The cap

SyscallEvent syscall(std::string_view name) {
  SyscallEvent call;
  call.name = name;
  return call;
}

TEST(EventLog, TurnsWhatIsAboveTheCapIntoGaps) {
  Seen seen;
  EventLog log;
  log.add(std::make_unique<Collector>(seen, false));
  log.cap(RateCap(2, RateCap::Clock::now()));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(log.write({}, syscall("getpid")).has_value(), i < 2);
  EXPECT_TRUE(log.write({}, syscall("openat")));
  EXPECT_TRUE(log.write({}, CallEvent{Va{1}, "getpid", "libc.so.6", {}, {}}));
  EXPECT_TRUE(log.flush(true));
  EXPECT_EQ(log.traced(), 4u);
  ASSERT_EQ(seen.events.size(), 5u);
  const auto& gap = std::get<GapEvent>(seen.events.back().what);
  EXPECT_EQ(gap.count, 3u);
  EXPECT_EQ(gap.reason, "syscall getpid: above 2/s");
}

TEST(EventLog, NamesAnUnknownSyscallInAGapByItsNumber) {
  Seen seen;
  EventLog log;
  log.add(std::make_unique<Collector>(seen, false));
  log.cap(RateCap(1, RateCap::Clock::now()));
  SyscallEvent unknown;
  unknown.number = 0x1f4;
  for (int i = 0; i < 2; ++i) log.write({}, unknown);
  EXPECT_TRUE(log.flush(true));
  EXPECT_EQ(std::get<GapEvent>(seen.events.back().what).reason, "syscall 1f4: above 1/s");
}

TEST(EventLog, CapsNeitherModulesNorProcessesNorGaps) {
  EventLog log;
  log.cap(RateCap(1, RateCap::Clock::now()));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(log.write({}, ModuleEvent{}));
    EXPECT_TRUE(log.write({}, ProcessEvent{}));
    EXPECT_TRUE(log.write({}, GapEvent{}));
  }
  EXPECT_EQ(log.written(), 9u);
}

}  // namespace
}  // namespace swat::daemon
