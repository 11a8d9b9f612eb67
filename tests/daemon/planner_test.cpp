#include "daemon/planner.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"

namespace swat::daemon {
namespace {

using gdbproto::Point;
using gdbproto::PointKind;
using Kind = os::SyscallEntry::Kind;

constexpr Va kEntry{0xffffffff81e00080};
constexpr Va kIntEntry{0xffffffff81e01000};

// A kernel whose SYSCALL entry stores the stack pointer at gs:0x6014, and whose int 0x80 entry
// pushes instead.
struct Guest {
  Guest() {
    model.kernel.put(kEntry, {0x0f, 0x01, 0xf8, 0x65, 0x48, 0x89, 0x24, 0x25, 0x14, 0x60, 0, 0});
    model.kernel.put(kEntry + 12, std::vector<std::uint8_t>(64, 0x90));
    model.kernel.put(kIntEntry, {0x50, 0xe8, 0, 0, 0, 0});
    model.kernel.put(kIntEntry + 6, std::vector<std::uint8_t>(64, 0x90));
    model.entries = {{Kind::kSyscall, kEntry, "test"}};
  }
  FakeModel model;
  FakeGuest view{2};
};

TEST(WatchKind, WatchesTheStoreOfEachVcpu) {
  Guest guest;
  const auto traps = watch_kind().entry(guest.view, guest.model, guest.model.entries[0]);
  ASSERT_TRUE(traps) << traps.error().what;
  ASSERT_EQ(traps->size(), 2u);
  EXPECT_EQ((*traps)[0].point, (Point{PointKind::kWriteWatch, Va{0xffff888000006014}, 8}));
  EXPECT_EQ((*traps)[1].point, (Point{PointKind::kWriteWatch, Va{0xffff888000106014}, 8}));
  const auto& entry = std::get<EntryTrap>((*traps)[1].what);
  EXPECT_EQ(entry.vcpu, 1u);
  EXPECT_EQ(entry.stop_pc, kEntry + 12);
  EXPECT_EQ(entry.abi->mnemonic, "syscall");
}

TEST(WatchKind, CannotWatchAnEntryThatStoresNothing) {
  Guest guest;
  EXPECT_FALSE(watch_kind().entry(guest.view, guest.model, {Kind::kInt80, kIntEntry, "test"}));
}

TEST(WatchKind, WatchesReadsOfAllSlotsAtOnce) {
  const auto traps = watch_kind().imports({Va{0x1000}, Va{0x1040}});
  ASSERT_TRUE(traps);
  ASSERT_EQ(traps->size(), 1u);
  EXPECT_EQ((*traps)[0].point, (Point{PointKind::kReadWatch, Va{0x1000}, 0x40}));
  EXPECT_FALSE((*traps)[0].is_breakpoint());
}

TEST(WatchKind, CannotWatchOneFunction) {
  EXPECT_EQ(watch_kind().function(Va{0x1000}, {}).error().code, Errc::kUnsupported);
}

TEST(BreakKind, BreaksOnTheFirstInstructionOfAnEntry) {
  Guest guest;
  const auto traps = break_kind().entry(guest.view, guest.model, guest.model.entries[0]);
  ASSERT_TRUE(traps);
  ASSERT_EQ(traps->size(), 1u);
  EXPECT_EQ((*traps)[0].point, (Point{PointKind::kSoftwareBreakpoint, kEntry, 1}));
  EXPECT_EQ(std::get<EntryTrap>((*traps)[0].what).vcpu, std::nullopt);
}

TEST(BreakKind, BreaksOnAFunction) {
  const auto traps = break_kind().function(Va{0x1000}, {"libc.so.6", "malloc", 64});
  ASSERT_TRUE(traps);
  EXPECT_TRUE(traps->at(0).is_breakpoint());
  EXPECT_EQ(std::get<FunctionTrap>(traps->at(0).what).function, "malloc");
}

TEST(BreakKind, CannotBreakOnSlots) {
  EXPECT_EQ(break_kind().imports({Va{0}, Va{8}}).error().code, Errc::kUnsupported);
}

TEST(BothKinds, RefuseAnEntryWithoutAnAbi) {
  Guest guest;
  for (const TrapKind* kind : trap_kinds()) {
    EXPECT_FALSE(kind->entry(guest.view, guest.model, {Kind::kInt2e, kEntry, "test"}))
        << kind->name();
  }
}

// --- Planner

std::string kinds_of(const std::vector<EntryPlan>& plans) {
  std::string names;
  for (const EntryPlan& plan : plans) names += std::string(plan.kind->name()) + " ";
  return names;
}

TEST(Planner, TakesTheCheapestKindForEachEntry) {
  Guest guest;
  guest.model.entries.push_back({Kind::kInt80, kIntEntry, "test"});
  const auto plans = Planner::for_accelerator(false, "")->entries(guest.view, guest.model);
  ASSERT_TRUE(plans);
  EXPECT_EQ(kinds_of(*plans), "watch break ");
}

TEST(Planner, SaysWhyItPassedAKindOver) {
  Guest guest;
  guest.model.entries = {{Kind::kInt80, kIntEntry, "test"}};
  const auto plans = Planner::for_accelerator(false, "")->entries(guest.view, guest.model);
  ASSERT_TRUE(plans);
  EXPECT_NE(plans->at(0).why.find("not watch: "), std::string::npos) << plans->at(0).why;
}

TEST(Planner, TakesTheKindThatIsAskedFor) {
  Guest guest;
  const auto planner = Planner::for_accelerator(false, "break");
  EXPECT_EQ(kinds_of(*planner->entries(guest.view, guest.model)), "break ");
  EXPECT_EQ(planner->imports(), nullptr);
}

// --traps break is always there: an entry that cannot be watched is not lost.
TEST(Planner, BreaksOnWhatTheKindThatIsAskedForCannotDo) {
  Guest guest;
  guest.model.entries.push_back({Kind::kInt80, kIntEntry, "test"});
  const auto plans = Planner::for_accelerator(false, "watch")->entries(guest.view, guest.model);
  ASSERT_TRUE(plans);
  EXPECT_EQ(kinds_of(*plans), "watch break ");
}

TEST(Planner, WatchesImportsUnderTcgOnly) {
  EXPECT_EQ(Planner::for_accelerator(false, "")->imports(), &watch_kind());
  EXPECT_EQ(Planner::for_accelerator(true, "")->imports(), nullptr);
}

TEST(Planner, LeavesCallsToTheExecutionLogWhenThatIsAskedFor) {
  Guest guest;
  const auto planner = Planner::for_accelerator(false, kExecLog);
  ASSERT_TRUE(planner);
  EXPECT_TRUE(planner->uses_exec_log());
  EXPECT_EQ(planner->imports(), nullptr);
  EXPECT_EQ(kinds_of(*planner->entries(guest.view, guest.model)), "watch ");
  EXPECT_FALSE(Planner::for_accelerator(false, "")->uses_exec_log());
  EXPECT_EQ(Planner::for_accelerator(true, kExecLog).error().code, Errc::kUsage);
}

TEST(Planner, BreaksUnderKvm) {
  Guest guest;
  const auto plans = Planner::for_accelerator(true, "")->entries(guest.view, guest.model);
  ASSERT_TRUE(plans);
  EXPECT_EQ(kinds_of(*plans), "break ");
}

TEST(Planner, RefusesAKindThatDoesNotWorkHere) {
  EXPECT_EQ(Planner::for_accelerator(true, "watch").error().code, Errc::kUsage);
  EXPECT_EQ(Planner::for_accelerator(false, "magic").error().code, Errc::kUsage);
}

TEST(Planner, FailsForAnEntryThatNoKindCanTrap) {
  Guest guest;
  guest.model.entries = {{Kind::kInt2e, kEntry, "test"}};
  EXPECT_FALSE(Planner::for_accelerator(false, "")->entries(guest.view, guest.model));
}

}  // namespace
}  // namespace swat::daemon
