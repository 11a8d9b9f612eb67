// The filter of a guest with several vCPUs, whose page-table updates do not say whose they are.
#include <gtest/gtest.h>

#include "logged_blocks.hpp"

namespace swat::daemon {
namespace {

constexpr Va kEndOfWrite{0xffffffff81003851};
constexpr Va kOtherLibrary{0x7f9000000};

// Two processes, of which only the first has kLibrary; each on a vCPU of its own.
Log two_vcpus() {
  Log log;
  log.filter.set_ends_of_page_table_writes({kEndOfWrite});
  log.filter.set_space(
      kOther,
      {{{kOtherLibrary, kOtherLibrary + 0x4000}, kOtherLibrary, entries({0x1000}), {}, true}},
      true);
  log.filter.set_vcpu(1, kOther.value, true);
  return log;
}

std::vector<Pa> roots(Log& log) {
  std::vector<Pa> roots;
  for (const Execution& block : log.filter.take()) roots.push_back(log.filter.told(block.root));
  return roots;
}

TEST(ExecLogFilterOfSeveralVcpus, APageTableIsOfWhoComesToTheEndOfAWrite) {
  Log log = two_vcpus();
  log.kernel(kFault, 0).kernel(kFault, 1).page_table(kOther.value);
  log.kernel(kFault, 1).kernel(kEndOfWrite, 0).user(kOtherLibrary + 0x1000, 0);
  EXPECT_EQ(roots(log), std::vector{kOther});
  EXPECT_TRUE(log.filter.confirm(0, kOther.value));
}

TEST(ExecLogFilterOfSeveralVcpus, TheEndOfAWriteAloneChangesNothing) {
  Log log = two_vcpus();
  log.kernel(kFault, 0).kernel(kEndOfWrite, 0).user(kFunction, 0);
  EXPECT_EQ(roots(log), std::vector{kRoot});
}

TEST(ExecLogFilterOfSeveralVcpus, ALineThatIsRepeatedIsNoSecondWrite) {
  Log log = two_vcpus();
  log.kernel(kFault, 0).kernel(kFault, 1).page_table(kRoot.value).kernel(kEndOfWrite, 0);
  log.stopped(kEndOfWrite).page_table(kOther.value).kernel(kEndOfWrite, 0).kernel(kEndOfWrite, 1);
  log.user(kFunction, 0);
  EXPECT_EQ(roots(log), std::vector{kRoot});
  EXPECT_TRUE(log.filter.confirm(0, kRoot.value));
  EXPECT_TRUE(log.filter.confirm(1, kOther.value));
}

// Both updates between the lines of both vCPUs: who made which?
Log& exchange(Log& log) {
  log.kernel(kFault, 0).kernel(kFault, 1).page_table(kOther.value).page_table(kRoot.value);
  return log.kernel(kEndOfWrite, 0).kernel(kEndOfWrite, 1);
}

TEST(ExecLogFilterOfSeveralVcpus, WhatOneExecutesTellsBoth) {
  Log log = two_vcpus();
  exchange(log).user(kOtherLibrary + 0x1000, 0).user(kFunction, 1);
  EXPECT_EQ(roots(log), (std::vector{kOther, kRoot}));
}

TEST(ExecLogFilterOfSeveralVcpus, TheRegisterTellsWhatNothingElseDoes) {
  Log log = two_vcpus();
  log.filter.set_space(kOther, Log::modules(), true);  // forks of one program
  exchange(log).user(kFunction, 0).user(kFunction, 1);
  const auto kept = log.filter.take();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_TRUE(ExecLogFilter::is_to_be_told(log.filter.told(kept[0].root)));
  EXPECT_TRUE(log.filter.confirm(1, kRoot.value));
  EXPECT_EQ(log.filter.told(kept[0].root), kOther);
  EXPECT_EQ(log.filter.told(kept[1].root), kRoot);
}

TEST(ExecLogFilterOfSeveralVcpus, ABlockThatIsExpectedIsSoWhoeverIsToBeTold) {
  Log log = two_vcpus();
  log.filter.set_space(kOther, Log::modules(), true);
  log.user(kFunction, 0).stopped(kFunction).kernel(kFault, 0).kernel(kFault, 1);
  EXPECT_EQ(roots(log), std::vector{kRoot});
  exchange(log).user(kFunction, 1).user(kCaller, 1);
  log.filter.confirm(1, kRoot.value);
  for (const Execution& block : log.filter.take()) EXPECT_EQ(block.pc, kCaller);
}

// Both enter the kernel at once, and leave it at once.
TEST(ExecLogFilterOfSeveralVcpus, SplitPageTablesOfWhoEntersAndLeavesAreItsOwn) {
  constexpr Va kEndAtExit = kEndOfWrite + 0x80;
  Log log = two_vcpus();
  log.filter.set_ends_of_page_table_writes({kEndOfWrite, kEndAtExit});
  log.filter.set_space(kOther, Log::modules(), true);
  log.filter.set_split_page_tables();
  const auto user_half = [](Pa root) { return root.value + 0x1000; };
  // Alone once: so it is known which write is of the user's half.
  log.user(kCaller, 0).user(kCaller, 1).kernel(kFault, 0).page_table(kRoot.value);
  log.kernel(kEndOfWrite, 0).page_table(user_half(kRoot)).kernel(kEndAtExit, 0).user(kCaller, 0);
  log.kernel(kFault, 0).kernel(kFault, 1).page_table(kOther.value).page_table(kRoot.value);
  log.kernel(kEndOfWrite, 0).kernel(kEndOfWrite, 1);
  log.page_table(user_half(kRoot)).page_table(user_half(kOther));
  log.kernel(kEndAtExit, 1).kernel(kEndAtExit, 0).user(kFunction, 0).user(kFunction, 1);
  EXPECT_EQ(roots(log), (std::vector{kRoot, kOther}));
}

TEST(ExecLogFilterOfSeveralVcpus, WhatIsInterruptedBeforeItIsToldIsExpectedAfterwards) {
  Log log = two_vcpus();
  log.filter.set_space(kOther, Log::modules(), true);
  exchange(log).user(kFunction, 1).stopped(kFunction).kernel(kFault, 1);
  EXPECT_TRUE(log.filter.confirm(1, kRoot.value));
  log.user(kFunction, 1);
  EXPECT_EQ(log.kept(), Pcs{kFunction});
  // And when it comes back by another update.
  exchange(log).user(kSecond, 1).stopped(kSecond).kernel(kFault, 1).page_table(kRoot.value);
  log.kernel(kEndOfWrite, 1).user(kSecond, 1);
  EXPECT_EQ(log.kept(), Pcs{kSecond});
}

TEST(ExecLogFilterOfSeveralVcpus, SaysSoWhenTheRegisterIsAnother) {
  Log log = two_vcpus();
  log.user(kFunction, 0);
  EXPECT_FALSE(log.filter.confirm(0, 0x5000));
  EXPECT_FALSE(log.filter.position(0));
  EXPECT_TRUE(log.filter.confirm(0, 0x5000));
}

TEST(ExecLogFilterOfSeveralVcpus, ARegisterThatIsAheadOfTheLogIsNoContradiction) {
  Log log = two_vcpus();
  log.kernel(kFault, 0).page_table(kOther.value);
  EXPECT_TRUE(log.filter.confirm(0, kOther.value));
  log.kernel(kEndOfWrite, 0).user(kOtherLibrary + 0x1000, 0);
  EXPECT_EQ(roots(log), std::vector{kOther});
}

TEST(ExecLogFilterOfSeveralVcpus, AnInterruptionIsOfWhoGoesOnFromIt) {
  Log log = two_vcpus();
  log.filter.set_vcpu(1, kRoot.value, true);
  // Both are in the same function; the second one is interrupted, the first one returns.
  log.user(kFunction, 0).user(kFunction, 1).stopped(kFunction).user(kCaller, 0);
  log.kernel(kFault, 1).user(kFunction, 1).user(kFunction, 0);
  EXPECT_EQ(log.kept(), (Pcs{kFunction, kFunction, kFunction}));
}

TEST(ExecLogFilterOfSeveralVcpus, AnInterruptedKernelInterruptsNoProgram) {
  Log log = two_vcpus();
  log.filter.set_vcpu(1, kRoot.value, true);
  log.user(kCaller, 0).kernel(kFault, 1).stopped(kFault + 0x40).user(kFunction, 0);
  const auto kept = log.filter.take();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].from, kCaller);
}

}  // namespace
}  // namespace swat::daemon
