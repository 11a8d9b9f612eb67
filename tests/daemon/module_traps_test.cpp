#include "daemon/module_traps.hpp"

#include <gtest/gtest.h>

#include "attached.hpp"
#include "collector.hpp"
#include "fake_model.hpp"

namespace swat::daemon {
namespace {

constexpr std::uint64_t kSpace = 0xffff888000100000;
constexpr std::uint64_t kOtherSpace = 0xffff888000200000;
constexpr Va kApp{0x555500000000};
constexpr Va kLib{0x7f0000000000};

// TinyElf: slots at 0x2800 (three words), the function `call` at 0x2000, the IFUNC `pick` behind
// it.
const char* const kAppSlots = "Z3,555500002800,18";
const char* const kLibSlots = "Z3,7f0000002800,18";

struct Traced : Attached {
  explicit Traced(std::initializer_list<Turn> turns, FunctionBreaks breaks = {},
                  const TrapKind* imports = &watch_kind())
      : Attached(turns),
        traps(session),
        module_traps(processes, traps, log, imports, std::move(breaks)) {
    log.add(std::make_unique<Collector>(events));
    map_tiny_elf(model, kSpace, kApp, "/bin/app", 1);
  }
  void refresh(const os::Thread& thread, bool announce = true) {
    const auto done = module_traps.refresh(thread, {}, announce);
    EXPECT_TRUE(done) << done.error().what;
  }

  std::vector<Event> events;
  FakeModel model;
  EventLog log;
  ProcessTable processes{model};
  TrapSet traps;
  ModuleTraps module_traps;
};

const os::Thread kThread = thread_of(10, kSpace);

TEST(ModuleTraps, WatchesTheSlotsOfWhatIsMapped) {
  Traced t({{kAppSlots, "OK"}});
  t.refresh(kThread);
  EXPECT_EQ(t.traps.at_watch(kApp + 0x2800).size(), 1u);
}

TEST(ModuleTraps, LogsWhatIsLoadedAndWhatIsUnloaded) {
  Traced t({{kAppSlots, "OK"}, {kLibSlots, "OK"}});
  t.refresh(kThread);
  t.model.maps[kSpace].clear();
  map_tiny_elf(t.model, kSpace, kLib, "/lib/libtiny.so", 2);
  t.refresh(kThread);
  ASSERT_EQ(t.events.size(), 3u);
  EXPECT_EQ(std::get<ModuleEvent>(t.events[0].what).module.path, "/bin/app");
  EXPECT_FALSE(std::get<ModuleEvent>(t.events[1].what).loaded);
  EXPECT_EQ(std::get<ModuleEvent>(t.events[2].what).module.path, "/lib/libtiny.so");
}

TEST(ModuleTraps, LogsNothingThatWasThereBeforeUs) {
  Traced t({{kAppSlots, "OK"}});
  t.refresh(kThread, false);
  EXPECT_TRUE(t.events.empty());
}

TEST(ModuleTraps, DropsTheTrapsOfAnUnmappedModule) {
  Traced t({{kAppSlots, "OK"}, {"z3,555500002800,18", "OK"}});
  t.refresh(kThread);
  t.model.maps[kSpace].clear();
  t.refresh(kThread);
  EXPECT_EQ(t.traps.size(), 0u);
  EXPECT_TRUE(t.traps.flush_removals());
}

TEST(ModuleTraps, WatchesOnceHeadersArePagedIn) {
  Traced t({});
  t.model.spaces[kSpace].lose_page(kApp);
  t.refresh(kThread);
  EXPECT_EQ(t.traps.size(), 0u);
  t.model.spaces[kSpace].page_in(kApp);
  t.qemu.then({{kAppSlots, "OK"}});
  t.refresh(kThread);
  EXPECT_EQ(t.traps.size(), 1u);
}

TEST(ModuleTraps, WatchesNoSlotsWhereThatCannotBeDone) {
  Traced t({}, {}, nullptr);
  t.refresh(kThread);
  EXPECT_EQ(t.traps.size(), 0u);
}

// --- Who holds a trap

TEST(ModuleTraps, SharesAPointThatTwoProcessesHaveAtOneAddress) {
  Traced t({{kAppSlots, "OK"}, {"z3,555500002800,18", "OK"}});
  map_tiny_elf(t.model, kOtherSpace, kApp, "/bin/app", 1);
  t.refresh(kThread);
  t.refresh(thread_of(20, kOtherSpace));
  t.module_traps.forget(Va{kSpace}, os::ProcessKey{10});
  ASSERT_TRUE(t.traps.flush_removals());
  EXPECT_EQ(t.traps.size(), 1u);
  t.module_traps.forget(Va{kOtherSpace}, os::ProcessKey{20});
  EXPECT_TRUE(t.traps.flush_removals());
}

TEST(ModuleTraps, KeepsTheTrapsUntilTheLastProcessOfASpaceIsGone) {
  Traced t({{kAppSlots, "OK"}, {"z3,555500002800,18", "OK"}});
  t.refresh(kThread);
  t.model.alive = {kThread.process, thread_of(20, kSpace).process};
  t.refresh(thread_of(20, kSpace));  // vfork
  t.module_traps.forget(Va{kSpace}, os::ProcessKey{20});
  ASSERT_TRUE(t.traps.flush_removals());
  EXPECT_EQ(t.traps.size(), 1u);
  t.module_traps.forget(Va{kSpace}, os::ProcessKey{10});
  EXPECT_TRUE(t.traps.flush_removals());
}

TEST(ModuleTraps, LeavesTheSpaceBeforeAnExecveBehind) {
  Traced t({{kAppSlots, "OK"}, {kLibSlots, "OK"}, {"z3,555500002800,18", "OK"}});
  t.refresh(kThread);
  map_tiny_elf(t.model, kOtherSpace, kLib, "/bin/other", 2);
  t.refresh(thread_of(10, kOtherSpace));
  ASSERT_TRUE(t.traps.flush_removals());
  EXPECT_EQ(t.traps.size(), 1u);
  EXPECT_EQ(t.processes.find(kThread.process), nullptr);
}

// --- Functions by name

TEST(ModuleTraps, BreaksOnFunctionsThatAreAskedFor) {
  Traced t({{"Z0,555500002000,1", "OK"}}, {{{"app", "ca*"}}}, nullptr);
  t.refresh(kThread);
  const Trap* trap = t.traps.at_breakpoint(kApp + 0x2000);
  ASSERT_NE(trap, nullptr);
  EXPECT_EQ(std::get<FunctionTrap>(trap->what).function, "call");
  EXPECT_EQ(std::get<FunctionTrap>(trap->what).bits, 64u);
}

TEST(ModuleTraps, BreaksOnNothingInOtherModules) {
  Traced t({}, {{{"libc.so.6", "call"}, {"/bin/app", "call"}}}, nullptr);
  t.refresh(kThread);
  EXPECT_EQ(t.traps.size(), 0u);
}

// Its address is the resolver's.
TEST(ModuleTraps, BreaksOnNoIfunc) {
  Traced t({}, {{{"*", "pick"}}}, nullptr);
  t.refresh(kThread);
  EXPECT_EQ(t.traps.size(), 0u);
}

TEST(ModuleTraps, RefusesMoreBreakpointsThanTheBudget) {
  Traced t({{"Z0,555500002000,1", "OK"}}, {{{"*", "call"}}, 1}, nullptr);
  map_tiny_elf(t.model, kOtherSpace, kLib, "/bin/other", 2);
  t.refresh(kThread, false);
  EXPECT_TRUE(t.module_traps.within_budget());
  t.refresh(thread_of(20, kOtherSpace), false);
  const auto refused = t.module_traps.within_budget();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
  EXPECT_NE(refused.error().what.find("asks for 2 breakpoints"), std::string::npos);
  EXPECT_NE(refused.error().what.find("now 1"), std::string::npos);
}

TEST(ModuleTraps, CountsAFunctionOfSeveralProcessesOnce) {
  Traced t({{"Z0,555500002000,1", "OK"}}, {{{"*", "call"}}, 1}, nullptr);
  map_tiny_elf(t.model, kOtherSpace, kApp, "/bin/app", 1);
  t.refresh(kThread, false);
  t.refresh(thread_of(20, kOtherSpace), false);
  EXPECT_TRUE(t.module_traps.within_budget());
}

TEST(ModuleTraps, LeavesOutWhatComesLaterAndIsBeyondTheBudgetButWatchesItsSlots) {
  Traced t({{"Z0,555500002000,1", "OK"}, {kAppSlots, "OK"}, {kLibSlots, "OK"}},
           {{{"*", "call"}}, 1});
  map_tiny_elf(t.model, kOtherSpace, kLib, "/bin/other", 2);
  t.refresh(kThread, false);
  t.refresh(thread_of(20, kOtherSpace));
  EXPECT_TRUE(t.module_traps.within_budget());
  EXPECT_EQ(t.traps.size(), 3u);
  ASSERT_EQ(t.events.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<GapEvent>(t.events[1].what));
}

TEST(ModuleTraps, SaysOnceThatThereIsNoRoomForMore) {
  Traced t({});
  std::vector<Trap> full;
  for (std::size_t i = 0; i < TrapSet::kMaxPoints; ++i) {
    const Va at{0x1000 + 8 * i};
    full.push_back({{gdbproto::PointKind::kReadWatch, at, 8}, ImportTrap{{at, at + 8}}});
    std::array<char, 32> packet;
    std::snprintf(packet.data(), packet.size(), "Z3,%zx,8", 0x1000 + 8 * i);
    t.qemu.then({{packet.data(), "OK"}});
  }
  ASSERT_TRUE(t.traps.add(full));
  map_tiny_elf(t.model, kOtherSpace, kLib, "/bin/other", 2);
  t.refresh(kThread, false);
  t.refresh(thread_of(20, kOtherSpace), false);
  ASSERT_EQ(t.events.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<GapEvent>(t.events[0].what));
}

// --- FunctionPattern

TEST(FunctionPattern, HasAModuleBeforeTheBang) {
  const auto pattern = FunctionPattern::parse("libc.so.6!mal*");
  ASSERT_TRUE(pattern);
  EXPECT_TRUE(pattern->matches_module("libc.so.6"));
  EXPECT_FALSE(pattern->matches_module("libm.so.6"));
  EXPECT_TRUE(pattern->matches_function("malloc"));
  EXPECT_FALSE(pattern->matches_function("calloc"));
}

TEST(FunctionPattern, IsOfAnyModuleWithoutABang) {
  EXPECT_TRUE(FunctionPattern::parse("malloc")->matches_module("libwhatever.so"));
}

TEST(FunctionPattern, RefusesHalfAPattern) {
  for (const char* text : {"", "!", "!malloc", "libc.so.6!"}) {
    EXPECT_EQ(FunctionPattern::parse(text).error().code, Errc::kUsage) << text;
  }
}

}  // namespace
}  // namespace swat::daemon
