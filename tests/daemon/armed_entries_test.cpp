#include "daemon/armed_entries.hpp"

#include <gtest/gtest.h>

namespace swat::daemon {
namespace {

using gdbproto::PointKind;

constexpr Va kStop{0xffffffff81e0008c};
constexpr Va kLate{0xffffffff81e00095};
constexpr Va kOtherLate{0xffffffff81e00098};

Trap watch_of(unsigned vcpu) {
  return {{PointKind::kWriteWatch, Va{0xffff888000006014} + vcpu * 0x100000, 8},
          EntryTrap{nullptr, kStop, {kLate, kOtherLate}, vcpu}};
}

TEST(ArmedEntries, OfAnotherVcpuSayNothingOfThisOne) {
  const ArmedEntries entries({watch_of(0), watch_of(2)});
  ASSERT_NE(entries.behind(2, kStop, false), nullptr);
  EXPECT_EQ(entries.behind(2, kStop, false)->vcpu, 2u);
  EXPECT_EQ(entries.behind(1, kStop, false), nullptr);
}

TEST(ArmedEntries, AreMetLateOnlyByWhoHasStoppedByItself) {
  const ArmedEntries entries({watch_of(0)});
  EXPECT_EQ(entries.behind(0, kLate, false), nullptr);
  EXPECT_NE(entries.behind(0, kLate, true), nullptr);
  EXPECT_NE(entries.behind(0, kOtherLate, true), nullptr);
  EXPECT_EQ(entries.behind(0, kLate + 1, true), nullptr);
}

TEST(ArmedEntries, OfAWordThatAllShareSayItOfEachVcpu) {
  const ArmedEntries entries(
      {{{PointKind::kReadWatch, Va{0xffdf0304}, 4}, EntryTrap{nullptr, kStop, {}, {}}}});
  EXPECT_NE(entries.behind(0, kStop, false), nullptr);
  EXPECT_NE(entries.behind(3, kStop, false), nullptr);
}

TEST(ArmedEntries, AreWatchesAlone) {
  auto dispatch = std::make_shared<os::SyscallDispatch>();
  const ArmedEntries entries(
      {{{PointKind::kSoftwareBreakpoint, kStop, 1}, EntryTrap{nullptr, kStop, {}, 0}},
       {{PointKind::kHardwareBreakpoint, kLate, 1}, DispatchTrap{dispatch}},
       {{PointKind::kReadWatch, Va{0xffffffff82000000}, 8}, DispatchTrap{dispatch}}});
  EXPECT_EQ(entries.behind(0, kStop, true), nullptr);
  EXPECT_EQ(entries.before(kStop), nullptr);
  ASSERT_EQ(entries.table_watches().size(), 1u);
  EXPECT_EQ(entries.table_watches()[0].point.kind, PointKind::kReadWatch);
}

TEST(ArmedEntries, WhoStopsBeforeTheAccessIsAtItWhateverTheVcpu) {
  const ArmedEntries entries(
      {{{PointKind::kReadWatch, kLate, 4}, EntryTrap{nullptr, kStop, {}, {}}}});
  EXPECT_NE(entries.before(kStop), nullptr);
  EXPECT_EQ(entries.before(kStop + 4), nullptr);
}

TEST(FindEntry, TellsAnotherAccessToTheWordFromTheEntrys) {
  const Trap slots{{PointKind::kReadWatch, kStop, 8}, ImportTrap{{kStop, kStop + 8}}};
  const Trap entry = watch_of(0);
  const std::vector<const Trap*> traps{&slots, &entry};
  EXPECT_EQ(find_entry(traps, kStop), std::get_if<EntryTrap>(&entry.what));
  EXPECT_EQ(find_entry(traps, kStop + 1), nullptr);
}

}  // namespace
}  // namespace swat::daemon
