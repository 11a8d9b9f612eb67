#include "daemon/trap_set.hpp"

#include <gtest/gtest.h>

#include "attached.hpp"

namespace swat::daemon {
namespace {

using gdbproto::Point;
using gdbproto::PointKind;

Trap import_trap(std::uint64_t at, std::uint64_t size_bytes) {
  return {{PointKind::kReadWatch, Va{at}, size_bytes}, ImportTrap{{Va{at}, Va{at} + size_bytes}}};
}

Trap entry_trap(std::uint64_t word, std::uint64_t stop_pc) {
  EntryTrap entry{};
  entry.abi = os::find_abi(os::SyscallEntry::Kind::kSyscall);
  entry.stop_pc = Va{stop_pc};
  return {{PointKind::kWriteWatch, Va{word}, 8}, entry};
}

Trap function_trap(std::uint64_t at, const std::string& name) {
  return {{PointKind::kSoftwareBreakpoint, Va{at}, 1}, FunctionTrap{"libc.so.6", name, 64}};
}

struct Traps : Attached {
  explicit Traps(std::initializer_list<Turn> turns) : Attached(turns), set(session) {}
  TrapSet set;
};

TEST(TrapSet, InsertsAllThatIsNewInOneWrite) {
  Traps t({{"Z3,1000,40", "OK"}, {"Z0,2000,1", "OK"}});
  ASSERT_TRUE(t.set.add({import_trap(0x1000, 0x40), function_trap(0x2000, "malloc")}));
  EXPECT_EQ(t.writes(), 1u);
  EXPECT_EQ(t.set.size(), 2u);
}

TEST(TrapSet, InsertsAPointOnceForSeveralHolders) {
  Traps t({{"Z3,1000,40", "OK"}});
  ASSERT_TRUE(t.set.add({import_trap(0x1000, 0x40)}));
  EXPECT_TRUE(t.set.add({import_trap(0x1000, 0x40)}));
}

TEST(TrapSet, InsertsAPointOnceThatOneCallNamesTwice) {
  Traps t({{"Z0,2000,1", "OK"}});
  EXPECT_TRUE(t.set.add({function_trap(0x2000, "malloc"), function_trap(0x2000, "__malloc")}));
}

TEST(TrapSet, RemovesAPointWithItsLastHolder) {
  Traps t({{"Z3,1000,40", "OK"}, {"z3,1000,40", "OK"}});
  const Trap trap = import_trap(0x1000, 0x40);
  ASSERT_TRUE(t.set.add({trap}));
  ASSERT_TRUE(t.set.add({trap}));
  t.set.drop(trap.point);
  ASSERT_TRUE(t.set.flush_removals());
  EXPECT_EQ(t.writes(), 1u);
  t.set.drop(trap.point);
  EXPECT_TRUE(t.set.flush_removals());
  EXPECT_EQ(t.set.size(), 0u);
}

// A watchpoint may only go at a stop of its own kind (facts/qemu.md 0.2).
TEST(TrapSet, RemovesNothingBeforeItIsTold) {
  Traps t({{"Z3,1000,40", "OK"}});
  ASSERT_TRUE(t.set.add({import_trap(0x1000, 0x40)}));
  t.set.drop(import_trap(0x1000, 0x40).point);
  EXPECT_EQ(t.writes(), 1u);
  EXPECT_TRUE(t.set.at_watch(Va{0x1000}).empty());
}

TEST(TrapSet, KeepsAPointThatIsWantedAgainBeforeItsRemoval) {
  Traps t({{"Z3,1000,40", "OK"}});
  const Trap trap = import_trap(0x1000, 0x40);
  ASSERT_TRUE(t.set.add({trap}));
  t.set.drop(trap.point);
  ASSERT_TRUE(t.set.add({trap}));
  EXPECT_TRUE(t.set.flush_removals());
  EXPECT_EQ(t.set.at_watch(Va{0x1000}).size(), 1u);
}

TEST(TrapSet, RemovesAllThatIsDueInOneWrite) {
  Traps t({{"Z3,1000,40", "OK"}, {"Z3,2000,8", "OK"}, {"z3,1000,40", "OK"}, {"z3,2000,8", "OK"}});
  ASSERT_TRUE(t.set.add({import_trap(0x1000, 0x40), import_trap(0x2000, 8)}));
  t.set.drop(import_trap(0x1000, 0x40).point);
  t.set.drop(import_trap(0x2000, 8).point);
  EXPECT_TRUE(t.set.flush_removals());
  EXPECT_EQ(t.writes(), 2u);
}

TEST(TrapSet, IgnoresADropOfWhatItDoesNotHold) {
  Traps t({});
  t.set.drop(import_trap(0x1000, 0x40).point);
  EXPECT_TRUE(t.set.flush_removals());
}

// A syscall and its compat twin store to one word.
TEST(TrapSet, KeepsSeveralMeaningsOfOnePoint) {
  Traps t({{"Z2,6014,8", "OK"}});
  ASSERT_TRUE(t.set.add({entry_trap(0x6014, 0x100), entry_trap(0x6014, 0x200)}));
  const auto traps = t.set.at_watch(Va{0x6014});
  ASSERT_EQ(traps.size(), 2u);
  EXPECT_EQ(std::get<EntryTrap>(traps[0]->what).stop_pc, Va{0x100});
  EXPECT_EQ(std::get<EntryTrap>(traps[1]->what).stop_pc, Va{0x200});
}

// Programs that are not position independent have their slots at one address, more or fewer.
TEST(TrapSet, TellsSpansOfDifferentSizesApart) {
  Traps t({{"Z3,404000,40", "OK"}, {"Z3,404000,100", "OK"}, {"z3,404000,40", "OK"}});
  ASSERT_TRUE(t.set.add({import_trap(0x404000, 0x40)}));
  ASSERT_TRUE(t.set.add({import_trap(0x404000, 0x100)}));
  t.set.drop(import_trap(0x404000, 0x40).point);
  EXPECT_TRUE(t.set.flush_removals());
  EXPECT_EQ(t.set.at_watch(Va{0x404000}).size(), 1u);
}

TEST(TrapSet, FindsABreakpointByItsAddressOnly) {
  Traps t({{"Z0,2000,1", "OK"}, {"Z3,3000,8", "OK"}});
  ASSERT_TRUE(t.set.add({function_trap(0x2000, "malloc"), import_trap(0x3000, 8)}));
  ASSERT_NE(t.set.at_breakpoint(Va{0x2000}), nullptr);
  EXPECT_EQ(t.set.at_breakpoint(Va{0x2001}), nullptr);
  EXPECT_EQ(t.set.at_breakpoint(Va{0x1fff}), nullptr);
  EXPECT_EQ(t.set.at_breakpoint(Va{0x3000}), nullptr);
  EXPECT_TRUE(t.set.at_watch(Va{0x2000}).empty());
}

TEST(TrapSet, FindsAWatchByItsStartOnly) {
  Traps t({{"Z3,1000,40", "OK"}});
  ASSERT_TRUE(t.set.add({import_trap(0x1000, 0x40)}));
  EXPECT_TRUE(t.set.at_watch(Va{0x1008}).empty());
  EXPECT_TRUE(t.set.at_watch(Va{0xfff}).empty());
}

TEST(TrapSet, HoldsNothingThatTheStubRefused) {
  Traps t({{"Z3,1000,40", "OK"}, {"Z3,2000,8", "E22"}, {"z3,1000,40", "OK"}});
  EXPECT_FALSE(t.set.add({import_trap(0x1000, 0x40), import_trap(0x2000, 8)}));
  EXPECT_EQ(t.set.size(), 0u);
  EXPECT_TRUE(t.set.flush_removals());
}

TEST(TrapSet, KeepsWhatItHeldWhenTheStubRefusesMore) {
  Traps t({{"Z3,1000,40", "OK"}, {"Z3,2000,8", "E22"}});
  ASSERT_TRUE(t.set.add({import_trap(0x1000, 0x40)}));
  EXPECT_FALSE(t.set.add({import_trap(0x1000, 0x40), import_trap(0x2000, 8)}));
  EXPECT_EQ(t.set.size(), 1u);
  EXPECT_EQ(t.set.at_watch(Va{0x1000}).size(), 1u);
}

TEST(TrapSet, RefusesMoreThanItsCapacityWithoutAWord) {
  Traps t({});
  std::vector<Trap> traps;
  for (std::size_t i = 0; i <= TrapSet::kMaxPoints; ++i) traps.push_back(import_trap(i * 8, 8));
  const auto added = t.set.add(traps);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Errc::kUnsupported);
  EXPECT_EQ(t.set.size(), 0u);
}

TEST(TrapSet, CountsAPointOnceTowardsItsCapacity) {
  Traps t({{"Z0,2000,1", "OK"}});
  EXPECT_TRUE(t.set.add(std::vector<Trap>(TrapSet::kMaxPoints + 1, function_trap(0x2000, "f"))));
}

TEST(TrapSet, RemovesEverythingAtOnceWhoeverHoldsIt) {
  Traps t({{"Z3,1000,40", "OK"},
           {"Z0,2000,1", "OK"},
           {"Z0,3000,1", "OK"},
           {"z0,3000,1", "OK"},
           {"z3,1000,40", "OK"},
           {"z0,2000,1", "OK"}});
  ASSERT_TRUE(t.set.add({import_trap(0x1000, 0x40), function_trap(0x2000, "malloc")}));
  ASSERT_TRUE(t.set.add({function_trap(0x2000, "malloc"), function_trap(0x3000, "free")}));
  t.set.drop(function_trap(0x3000, "free").point);
  const std::size_t before = t.writes();
  EXPECT_TRUE(t.set.clear());
  EXPECT_EQ(t.writes(), before + 1);
  EXPECT_EQ(t.set.size(), 0u);
}

}  // namespace
}  // namespace swat::daemon
