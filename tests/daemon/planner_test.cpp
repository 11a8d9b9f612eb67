#include "daemon/planner.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"
#include "selections.hpp"

namespace swat::daemon {
namespace {

using gdbproto::Point;
using gdbproto::PointKind;
using Kind = os::SyscallEntry::Kind;

constexpr Kind kWithoutAbi{99};

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
  const auto traps = watch_kind().entry(guest.view, guest.model, guest.model.entries[0], {});
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
  EXPECT_FALSE(watch_kind().entry(guest.view, guest.model, {Kind::kInt80, kIntEntry, "test"}, {}));
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
  const auto traps = break_kind().entry(guest.view, guest.model, guest.model.entries[0], {});
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
    EXPECT_FALSE(kind->entry(guest.view, guest.model, {kWithoutAbi, kEntry, "test"}, {}))
        << kind->name();
  }
}

// --- TableKind

constexpr Va kTable{0xffffffff81e00000};

// Handlers of all numbers below 600, a line apart; number 10 has none, 20 and 21 have the same.
std::shared_ptr<const os::SyscallDispatch> dispatch(bool has_table) {
  auto dispatch = std::make_shared<os::SyscallDispatch>();
  for (unsigned i = 0; i < 600; ++i) dispatch->handlers.push_back(Va{0xffffffff81200000 + 16 * i});
  dispatch->handlers[10] = Va{};
  dispatch->handlers[21] = dispatch->handlers[20];
  if (has_table) dispatch->table = kTable;
  return dispatch;
}

Result<std::vector<Trap>> table_traps(bool has_table, const SyscallDemand& demand) {
  Guest guest;
  guest.model.dispatches[0] = dispatch(has_table);
  return table_kind().entry(guest.view, guest.model, guest.model.entries[0], demand);
}

TEST(TableKind, WatchesTheSlotsAskedForNeighboursTogether) {
  const auto traps = table_traps(true, {false, {2, 10, 56, 57, 58, 231}});
  ASSERT_TRUE(traps) << traps.error().what;
  ASSERT_EQ(traps->size(), 3u);
  EXPECT_EQ((*traps)[0].point, (Point{PointKind::kReadWatch, kTable + 2 * 8, 8}));
  EXPECT_EQ((*traps)[1].point, (Point{PointKind::kReadWatch, kTable + 56 * 8, 24}));
  EXPECT_EQ((*traps)[2].point, (Point{PointKind::kReadWatch, kTable + 231 * 8, 8}));
}

TEST(TableKind, WatchesTheWholeTableWhenAllIsAskedFor) {
  const auto traps = table_traps(true, {});
  ASSERT_TRUE(traps);
  ASSERT_EQ(traps->size(), 2u);  // around number 10
  EXPECT_EQ((*traps)[1].point.size_bytes, 589 * 8u);
}

TEST(TableKind, BreaksOnEachHandlerOnceWhereThereIsNoTable) {
  const auto traps = table_traps(false, {false, {10, 20, 21, 59}});
  ASSERT_TRUE(traps);
  ASSERT_EQ(traps->size(), 2u);
  EXPECT_EQ((*traps)[0].point.at, Va{0xffffffff81200140});
  EXPECT_EQ((*traps)[1].point.at, Va{0xffffffff812003b0});
  EXPECT_TRUE((*traps)[0].is_breakpoint());
}

TEST(TableKind, CannotBreakOnAllHandlers) {
  EXPECT_EQ(table_traps(false, {}).error().code, Errc::kUnsupported);
}

TEST(TableKind, CannotWhereTheKernelHasNoneOfThem) {
  EXPECT_EQ(table_traps(true, {false, {10, 4000}}).error().code, Errc::kNotFound);
}

TEST(TrapCost, DependsOnWhetherQemuFlushesAtABreakpoint) {
  for (const char* flushing : {"7.2.22", "8.0.0", "10.1.0", "10.0.13"}) {
    EXPECT_GT(StopCosts::of_qemu(flushing).breakpoint, 10 * StopCosts::of_qemu(flushing).watch)
        << flushing;
  }
  for (const char* later : {"10.2.0", "11.1.3", "12"}) {
    EXPECT_LT(StopCosts::of_qemu(later).breakpoint, 10 * StopCosts::of_qemu(later).watch) << later;
  }
}

// --- Returns

// call +0; pop %rax; mov %rsp,%rdi; sysret
constexpr Va kExit = kEntry + 200;
void put_exit(Guest& guest) {
  guest.model.kernel.put(kEntry + 76, {0xe8, 0x77, 0, 0, 0});
  guest.model.kernel.put(kEntry + 81, std::vector<std::uint8_t>(119, 0x90));
  guest.model.kernel.put(kExit, {0x58, 0x48, 0x89, 0xe7, 0x48, 0x0f, 0x07});
  guest.model.kernel.put(kExit + 7, std::vector<std::uint8_t>(16, 0x90));
}

TEST(WatchKind, NeedsToKnowWhereResultsAreKept) {
  Guest guest;
  EXPECT_FALSE(watch_kind().returns(guest.model));
  guest.model.tracks_results = true;
  const auto traps = watch_kind().returns(guest.model);
  ASSERT_TRUE(traps);
  EXPECT_TRUE(traps->empty());
}

TEST(BreakKind, BreaksOnEachWayOutOnce) {
  Guest guest;
  put_exit(guest);
  guest.model.entries.push_back(guest.model.entries.front());
  const auto traps = break_kind().returns(guest.model);
  ASSERT_TRUE(traps) << traps.error().what;
  ASSERT_EQ(traps->size(), 1u);
  EXPECT_EQ((*traps)[0].point, (Point{PointKind::kSoftwareBreakpoint, kExit + 1, 1}));
  EXPECT_TRUE(std::holds_alternative<ReturnTrap>((*traps)[0].what));
}

TEST(BreakKind, CannotSeeReturnsOfAnEntryWithoutAWayOut) {
  Guest guest;
  EXPECT_FALSE(break_kind().returns(guest.model));
}

// --- Planner

TEST(Planner, WatchesReturnsWhereItCanAndBreaksWhereItCannot) {
  Guest guest;
  put_exit(guest);
  const auto planner = Planner::for_accelerator(false, "");
  const auto broken = planner->returns(guest.model);
  ASSERT_TRUE(broken);
  EXPECT_EQ(broken->kind, &break_kind());
  EXPECT_NE(broken->why.find("not watch: "), std::string::npos) << broken->why;
  guest.model.tracks_results = true;
  EXPECT_EQ(planner->returns(guest.model)->kind, &watch_kind());
  EXPECT_EQ(Planner::for_accelerator(false, "break")->returns(guest.model)->kind, &break_kind());
  EXPECT_EQ(Planner::for_accelerator(true, "")->returns(guest.model)->kind, &break_kind());
}

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

// The fifth is refused. [QEMU target/i386/kvm/kvm.c, kvm_arch_insert_hw_breakpoint]
TEST(Planner, UsesDebugRegistersUnderKvmAndSaysThatNobodyHasMeasuredThem) {
  Guest guest;
  guest.model.entries.push_back({Kind::kInt80, kIntEntry, "test"});
  auto plans = Planner::for_accelerator(true, "")->entries(guest.view, guest.model);
  ASSERT_TRUE(plans);
  EXPECT_EQ(kinds_of(*plans), "hardware hardware ");
  EntryPlan& plan = plans->at(0);
  ASSERT_EQ(plan.traps.size(), 1u);
  EXPECT_EQ(plan.traps[0].point, (Point{PointKind::kHardwareBreakpoint, kEntry, 1}));
  EXPECT_TRUE(plan.traps[0].is_breakpoint());
  EXPECT_NE(plan.to_string().find("never measured"), std::string::npos) << plan.to_string();
  ASSERT_TRUE(plan.fall_back("refused with E22"));
  EXPECT_EQ(plan.traps[0].point, (Point{PointKind::kSoftwareBreakpoint, kEntry, 1}));
}

TEST(Planner, KnowsNoDebugRegistersUnderTcg) {
  EXPECT_EQ(Planner::for_accelerator(false, "hardware").error().code, Errc::kUsage);
}

TEST(Planner, BreaksUnderKvmWhenAsked) {
  Guest guest;
  const auto plans = Planner::for_accelerator(true, "break")->entries(guest.view, guest.model);
  ASSERT_TRUE(plans);
  EXPECT_EQ(kinds_of(*plans), "break ");
}

TEST(Planner, RefusesAKindThatDoesNotWorkHere) {
  EXPECT_EQ(Planner::for_accelerator(true, "watch").error().code, Errc::kUsage);
  EXPECT_EQ(Planner::for_accelerator(false, "magic").error().code, Errc::kUsage);
}

EntryPlan plan_for(const Selection& s, bool has_table, std::string_view qemu,
                   std::string_view only = {}) {
  Guest guest;
  guest.model.dispatches[0] = dispatch(has_table);
  auto plans = Planner::for_accelerator(false, only, qemu)->entries(guest.view, guest.model, s);
  EXPECT_TRUE(plans);
  return std::move(plans->at(0));
}

TEST(Planner, TakesTheTableForAFewRareSyscalls) {
  EXPECT_EQ(plan_for(selection("execve"), true, "7.2.22").kind, &table_kind());
  EXPECT_EQ(plan_for(selection("execve"), false, "11.1.3").kind, &table_kind());
  EXPECT_EQ(plan_for(selection("execve"), false, "7.2.22").kind, &table_kind());
}

TEST(Planner, TakesTheEntryForEverything) {
  const EntryPlan plan = plan_for({}, true, "7.2.22");
  EXPECT_EQ(plan.kind, &watch_kind());
  EXPECT_NE(plan.why.find("not table: all"), std::string::npos) << plan.why;
}

// A breakpoint's stop costs as much as a hundred of a watch there.
TEST(Planner, TakesTheEntryWhereHandlersWouldStopTooOften) {
  EXPECT_EQ(plan_for(selection("read,write,futex"), false, "7.2.22").kind, &watch_kind());
  EXPECT_EQ(plan_for(selection("read,write,futex"), true, "7.2.22").kind, &table_kind());
}

TEST(Planner, TakesTheKindThatTheUserNamesWhateverItCosts) {
  EXPECT_EQ(plan_for({}, true, "7.2.22", "table").kind, &table_kind());
  EXPECT_EQ(plan_for(selection("execve"), true, "7.2.22", "watch").kind, &watch_kind());
  EXPECT_EQ(plan_for(selection("execve"), true, "7.2.22", "break").kind, &break_kind());
}

TEST(Planner, SeesThe32BitCallersAsThe64BitOnes) {
  Guest guest;
  guest.model.entries.push_back({Kind::kInt80, kIntEntry, "test"});
  guest.model.dispatches = {dispatch(true), dispatch(false)};
  const auto planner = Planner::for_accelerator(false, "", "7.2.22");
  const auto kinds = [&](std::string_view syscalls) {
    return kinds_of(*planner->entries(guest.view, guest.model, selection(syscalls)));
  };
  EXPECT_EQ(kinds("execve"), "table table ");
  EXPECT_EQ(kinds("all"), "watch break ");
  guest.model.dispatches[0] = nullptr;
  EXPECT_EQ(kinds("execve"), "watch break ");
}

EntryPlan silent_plan(const Selection& s, std::string_view only = {}, bool has_table = false) {
  Guest guest;
  guest.model.dispatches[0] = dispatch(has_table);
  auto planner = Planner::for_accelerator(false, only, "10.0.2");
  planner->allow_silent_runs();
  auto plans = planner->entries(guest.view, guest.model, s);
  EXPECT_TRUE(plans) << plans.error().what;
  return std::move(plans->at(0));
}

TEST(Planner, CountsSilentStopsAsCheapWhereNothingElseIsSet) {
  const EntryPlan plan = silent_plan(selection("read,write"));
  EXPECT_EQ(plan.kind, &table_kind());
  EXPECT_TRUE(plan.is_silent);
  EXPECT_NE(plan.to_string().find("as the stops are silent"), std::string::npos);
  EXPECT_LT(plan.cost.share(),
            plan_for(selection("execve"), false, "10.0.2", "break").cost.share());
  EXPECT_TRUE(silent_plan(selection("all"), "break").is_silent);
}

TEST(Planner, HasNoSilentStopsBesideWatchpoints) {
  EXPECT_FALSE(silent_plan(selection("execve", {"all"})).is_silent) << "calls are watched";
  EXPECT_FALSE(silent_plan(selection("all")).is_silent) << "the entry is watched";
  EXPECT_FALSE(silent_plan(selection("execve"), {}, true).is_silent) << "the table is watched";
  Selection returns = selection("execve");
  returns.watches_returns = true;
  EXPECT_FALSE(silent_plan(returns).is_silent);
  EXPECT_TRUE(silent_plan(selection("all", {"all"}), "break").is_silent)
      << "breakpoints see no imports";
}

TEST(Planner, KnowsWhatToFallBackTo) {
  EntryPlan plan = plan_for(selection("execve"), true, "7.2.22");
  ASSERT_TRUE(plan.fall_back("it missed one"));
  EXPECT_EQ(plan.kind, &watch_kind());
  EXPECT_NE(plan.why.find("not table: it missed one"), std::string::npos) << plan.why;
  ASSERT_TRUE(plan.fall_back("so did this"));
  EXPECT_EQ(plan.kind, &break_kind());
  EXPECT_FALSE(plan.fall_back("and this"));
  EXPECT_EQ(plan.kind, &break_kind());
}

TEST(Planner, FailsForAnEntryThatNoKindCanTrap) {
  Guest guest;
  guest.model.entries = {{kWithoutAbi, kEntry, "test"}};
  EXPECT_FALSE(Planner::for_accelerator(false, "")->entries(guest.view, guest.model));
}

}  // namespace
}  // namespace swat::daemon
