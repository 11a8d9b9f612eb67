#include "daemon/calibration.hpp"

#include <gtest/gtest.h>

#include "attached.hpp"
#include "collector.hpp"
#include "fake_model.hpp"

namespace swat::daemon {
namespace {

using gdbproto::PointKind;
using Kind = os::SyscallEntry::Kind;

constexpr Va kEntry{0xffffffff81e00080};
constexpr Va kTable{0xffffffff81e10000};
constexpr const char* kBreak = "Z0,ffffffff81e00080,1";
constexpr const char* kUnbreak = "z0,ffffffff81e00080,1";
constexpr const char* kWatch = "Z2,ffff888000006014,8";
constexpr const char* kUnwatch = "z2,ffff888000006014,8";

// A kernel whose SYSCALL entry stores the stack pointer at gs:0x6014, where there is a gs of each
// vCPU; whether anything stops there is up to the test. Its table has a handler for all below 400.
struct Guest : Attached {
  explicit Guest(std::initializer_list<Turn> turns, std::string_view syscalls = "all")
      : Attached(turns), traps(session) {
    model.kernel.put(kEntry, {0x0f, 0x01, 0xf8, 0x65, 0x48, 0x89, 0x24, 0x25, 0x14, 0x60, 0, 0});
    model.kernel.put(kEntry + 12, std::vector<std::uint8_t>(64, 0x90));
    model.entries = {{Kind::kSyscall, kEntry, "test"}};
    auto dispatch = std::make_shared<os::SyscallDispatch>();
    dispatch->table = kTable;
    for (unsigned i = 0; i < 400; ++i) dispatch->handlers.push_back(kTable + 0x10000 + 16 * i);
    model.dispatches[0] = dispatch;
    selection.syscalls = *SyscallFilter::parse(syscalls);
    selection.calls = *CallFilter::parse(std::vector<std::string>{"none"});
    log.add(std::make_unique<Collector>(events));
  }

  void begin(std::string_view only = {}, bool may_break = true) {
    const auto planner = Planner::for_accelerator(false, only, "7.2.22");
    auto plans = planner->entries(view, model, selection);
    ASSERT_TRUE(plans) << plans.error().what;
    for (const EntryPlan& plan : *plans) ASSERT_TRUE(traps.add(plan.traps));
    ASSERT_TRUE(calibration.begin(*std::move(plans), may_break, start));
  }
  Result<> enter(std::uint32_t number, bool is_noticed) {
    const Actor actor{thread_of(100, 0x1000), {}};
    const auto entered = calibration.entered(ProofTrap{0}, actor, number);
    if (is_noticed) calibration.noticed(actor, number);
    return entered;
  }

  FakeModel model;
  FakeGuest view{1};
  Selection selection;
  TrapSet traps;
  std::vector<Event> events;
  EventLog log;
  Calibration calibration{traps, view, model, log};
  Calibration::Clock::time_point start{};
};

TEST(Calibration, TakesItsBreakpointAwayWhenEnoughWasNoticed) {
  Guest guest({{kWatch, "OK"}, {kBreak, "OK"}, {kUnbreak, "OK"}});
  guest.begin();
  for (unsigned i = 0; i <= TrapProof::kEnough; ++i) {
    EXPECT_FALSE(guest.calibration.is_over());
    ASSERT_TRUE(guest.enter(39, true));
  }
  EXPECT_TRUE(guest.calibration.is_over());
  EXPECT_TRUE(guest.events.empty());
  ASSERT_EQ(guest.calibration.armed().size(), 1u);
  EXPECT_EQ(guest.calibration.armed()[0].point.kind, PointKind::kWriteWatch);
}

// The fault: nothing ever stops at the word that the watch is on.
TEST(Calibration, TakesTheNextKindWhenTheWatchMisses) {
  Guest guest({{kWatch, "OK"}, {kBreak, "OK"}, {kUnwatch, "OK"}});
  guest.begin();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(guest.enter(39, false));
  EXPECT_TRUE(guest.calibration.is_over());
  const auto armed = guest.calibration.armed();
  ASSERT_EQ(armed.size(), 1u);
  EXPECT_EQ(armed[0].point.kind, PointKind::kSoftwareBreakpoint);
  EXPECT_TRUE(std::holds_alternative<EntryTrap>(armed[0].what));
  ASSERT_EQ(guest.events.size(), 1u);
  EXPECT_EQ(std::get<GapEvent>(guest.events[0].what).count, 2u);
}

TEST(Calibration, WatchesSlotsOfWhatNobodyAskedForMeanwhile) {
  Guest guest({{"Z3,ffffffff81e101d8,8", "OK"},  // execve: 59
               {"Z3,ffffffff81e10738,8", "OK"},  // exit_group: 231
               {kBreak, "OK"},
               {"Z3,ffffffff81e10138,8", "OK"},  // getpid: 39
               {kUnbreak, "OK"},
               {"z3,ffffffff81e10138,8", "OK"}},
              "execve");
  guest.begin();
  for (unsigned i = 0; i <= TrapProof::kEnough; ++i) {
    ASSERT_TRUE(guest.enter(39, true));
    if (i == 0) {
      EXPECT_EQ(guest.calibration.entries().table_watches().size(), 3u);
    }
  }
  EXPECT_TRUE(guest.calibration.is_over());
  EXPECT_EQ(guest.calibration.entries().table_watches().size(), 2u);
  EXPECT_TRUE(guest.traps.flush_removals());  // at the next stop of a watch
}

TEST(Calibration, ProvesTheNextKindAsWell) {
  Guest guest({{"Z3,ffffffff81e101d8,8", "OK"},
               {"Z3,ffffffff81e10738,8", "OK"},
               {kBreak, "OK"},
               {"Z3,ffffffff81e10138,8", "OK"},
               {kWatch, "OK"},
               {"z3,ffffffff81e101d8,8", "OK"},
               {"z3,ffffffff81e10738,8", "OK"},
               {"z3,ffffffff81e10138,8", "OK"},
               {kUnbreak, "OK"}},
              "execve");
  guest.begin();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(guest.enter(39, false));
  EXPECT_FALSE(guest.calibration.is_over());
  for (unsigned i = 0; i <= TrapProof::kEnough; ++i) ASSERT_TRUE(guest.enter(39, true));
  EXPECT_TRUE(guest.calibration.is_over());
  ASSERT_EQ(guest.calibration.armed().size(), 1u);
  EXPECT_EQ(guest.calibration.armed()[0].point.kind, PointKind::kWriteWatch);
}

TEST(Calibration, ExpectsNothingOfASyscallWithoutAHandler) {
  Guest guest({{"Z3,ffffffff81e101d8,8", "OK"}, {"Z3,ffffffff81e10738,8", "OK"}, {kBreak, "OK"}},
              "execve");
  guest.begin();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(guest.enter(4000, false));
  EXPECT_FALSE(guest.calibration.is_over());
}

TEST(Calibration, EndsUnprovenInAnIdleGuest) {
  Guest guest({{kWatch, "OK"}, {kBreak, "OK"}, {kUnbreak, "OK"}});
  guest.begin();
  EXPECT_FALSE(guest.calibration.is_due(guest.start));
  EXPECT_TRUE(guest.calibration.is_due(guest.start + Calibration::kLength));
  ASSERT_TRUE(guest.calibration.end());
  EXPECT_TRUE(guest.calibration.is_over());
  EXPECT_FALSE(guest.calibration.is_due(guest.start + Calibration::kLength));
  EXPECT_EQ(guest.calibration.armed()[0].point.kind, PointKind::kWriteWatch);
  EXPECT_TRUE(guest.events.empty());
}

TEST(Calibration, HasNothingToProveOfABreakpointOnTheEntry) {
  Guest guest({{kBreak, "OK"}});
  guest.begin("break");
  EXPECT_TRUE(guest.calibration.is_over());
}

TEST(Calibration, LeavesTheStubAloneWhereItMayNotBreak) {
  Guest guest({{kWatch, "OK"}});
  guest.begin({}, false);
  EXPECT_TRUE(guest.calibration.is_over());
  EXPECT_EQ(guest.calibration.armed().size(), 1u);
}

}  // namespace
}  // namespace swat::daemon
