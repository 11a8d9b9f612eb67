#include "daemon/exec_log_filter.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "daemon/exec_log_parser.hpp"
#include "logged_blocks.hpp"
#include "recorded.hpp"

namespace swat::daemon {
namespace {

TEST(ExecLogFilter, KeepsFunctionsAndNothingElse) {
  Log log;
  log.user(kCaller).user(kFunction).user(kFunction + 8).user(kCaller + 9).user(kSecond);
  log.user(Va{0x1234}).kernel(kFunction).user(kCaller);
  EXPECT_EQ(log.kept(), (Pcs{kFunction, kSecond}));
}

TEST(ExecLogFilter, TellsWhereABlockWasEnteredFrom) {
  Log log;
  log.user(kCaller).user(kFunction).kernel().user(kCaller).kernel().user(kSecond);
  const auto kept = log.filter.take();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].from, kCaller);
  EXPECT_EQ(kept[0].root, kRoot);
  EXPECT_EQ(kept[0].vcpu, 0);
  EXPECT_TRUE(kept[1].from.is_null());  // it came from the kernel
}

TEST(ExecLogFilter, ABlockWhoseFirstInstructionFaultedIsNoSecondCall) {
  Log log;
  log.user(kCaller).user(kFunction).kernel().user(kFunction).user(kCaller);
  EXPECT_EQ(log.kept(), Pcs{kFunction});
  // And the next one is a call again.
  log.user(kFunction);
  EXPECT_EQ(log.kept(), Pcs{kFunction});
}

TEST(ExecLogFilter, AnInterruptedBlockIsNoSecondCall) {
  Log log;
  log.user(kCaller).user(kFunction).stopped(kFunction).kernel().user(kFunction).user(kCaller);
  log.user(kFunction).stopped(kFunction).user(kFunction);  // not even the kernel was entered
  EXPECT_EQ(log.kept(), (Pcs{kFunction, kFunction}));
}

TEST(ExecLogFilter, AFunctionWhosePageWasAbsentIsCalledOnce) {
  Log log;
  log.user(kCaller).kernel().user(kFunction);
  EXPECT_EQ(log.kept(), Pcs{kFunction});
}

TEST(ExecLogFilter, ASignalHandlerInBetweenChangesNothing) {
  Log log;
  log.user(kCaller).user(kFunction).stopped(kFunction).kernel();
  log.user(kSecond).kernel(kSyscall);  // the handler, and rt_sigreturn
  log.user(kFunction).user(kCaller);
  EXPECT_EQ(log.kept(), (Pcs{kFunction, kSecond}));
}

TEST(ExecLogFilter, ASystemCallComesBackBehindItself) {
  Log log;
  // The first block makes the system call; the handler of a signal is the same function.
  log.user(kCaller).user(kFunction).kernel(kSyscall).user(kFunction);
  EXPECT_EQ(log.kept(), (Pcs{kFunction, kFunction}));
}

TEST(ExecLogFilter, ABlockThatFollowsItselfIsNoSecondCall) {
  Log log;
  log.user(kCaller).user(kFunction).user(kFunction).user(kFunction);
  EXPECT_EQ(log.kept(), Pcs{kFunction});
}

// A chained jump within the page, which has no line, and an interrupt just there.
TEST(ExecLogFilter, WhatIsSilentStaysSoWhenItIsInterrupted) {
  Log log;
  log.user(kFunction + 8).stopped(kFunction).kernel().user(kFunction);
  EXPECT_EQ(log.kept(), Pcs{});
}

TEST(ExecLogFilter, ProcessesHaveTheirOwnFunctions) {
  Log log;
  log.filter.set_space(
      kOther, {{{kLibrary, kLibrary + 0x4000}, kLibrary, entries({0x40}), {}, true}}, true);
  log.user(kFunction).user(kLibrary + 0x40).kernel().page_table(kOther.value | 0x5);  // with a PCID
  log.user(kFunction).user(kLibrary + 0x40).kernel().page_table(kRoot.value | 1ULL << 63);
  log.user(kSecond);
  const auto kept = log.filter.take();
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[1].pc, kLibrary + 0x40);
  EXPECT_EQ(kept[1].root, kOther);
  EXPECT_EQ(kept[2].root, kRoot);
}

TEST(ExecLogFilter, AFaultedBlockIsExpectedInItsOwnProcess) {
  Log log;
  log.filter.set_space(kOther, Log::modules(), true);
  log.user(kFunction).kernel().page_table(kOther.value).user(kFunction).kernel(kSyscall);
  log.page_table(kRoot.value).user(kFunction);
  EXPECT_EQ(log.kept(), (Pcs{kFunction, kFunction}));
}

TEST(ExecLogFilter, KeepsEverythingOfAProcessThatItDoesNotKnow) {
  Log log;
  log.kernel().page_table(kOther.value).user(kCaller).user(Va{0x1234}).user(kFunction);
  EXPECT_EQ(log.kept().size(), 3u);
  log.filter.set_space(kOther, Log::modules(), true);
  log.user(kCaller).user(Va{0x1234}).user(kFunction);
  EXPECT_EQ(log.kept(), Pcs{kFunction});
  log.filter.forget_space(kOther);
  log.user(kCaller);
  EXPECT_EQ(log.kept(), Pcs{kCaller});
}

TEST(ExecLogFilter, KeepsNothingOfAProcessThatIsNotWanted) {
  Log log;
  log.filter.ignore_space(kRoot);
  log.user(kCaller).user(kFunction).user(Va{0x1234});
  EXPECT_EQ(log.kept(), Pcs{});
}

TEST(ExecLogFilter, KeepsWhatIsOutsideOfModulesWhileSomethingIsBeingMapped) {
  Log log;
  log.filter.set_space(kRoot, Log::modules(), false);
  log.user(kCaller).user(Va{0x1234}).user(kFunction);
  EXPECT_EQ(log.kept(), (Pcs{Va{0x1234}, kFunction}));
}

TEST(ExecLogFilter, KeepsAllOfAModuleThatHasNotBeenRead) {
  Log log;
  auto modules = Log::modules();
  modules[0].entries = nullptr;
  log.filter.set_space(kRoot, modules, true);
  log.user(kCaller).user(kFunction).user(kLibrary);
  EXPECT_EQ(log.kept(), (Pcs{kCaller, kFunction}));
}

TEST(ExecLogFilter, KeepsWaysIntoAModuleWhoseIfuncsLeadNobodyKnowsWhere) {
  Log log;
  auto modules = Log::modules();
  modules[1].complete = false;
  modules[1].targets = entries({0x3000});
  log.filter.set_space(kRoot, modules, true);
  log.user(kCaller).user(kLibrary + 0x111).user(kLibrary + 0x222).user(kLibrary + 0x3000);
  EXPECT_EQ(log.kept(), (Pcs{kLibrary + 0x111, kLibrary + 0x3000}));
  // Its page was absent.
  log.user(kCaller).kernel().user(kLibrary + 0x111).kernel(kSyscall).user(kLibrary + 0x333);
  EXPECT_EQ(log.kept(), Pcs{kLibrary + 0x111});
}

TEST(ExecLogFilter, AnInterruptedIfuncsTargetIsNoSecondCall) {
  Log log;
  auto modules = Log::modules();
  modules[1].complete = false;
  log.filter.set_space(kRoot, modules, true);
  log.filter.set_space(kOther, Log::modules(), true);
  log.user(kCaller).user(kLibrary + 0x111).stopped(kLibrary + 0x111).kernel();
  log.page_table(kOther.value).user(kProgram + 0x10).kernel();
  log.page_table(kRoot.value).user(kLibrary + 0x111);
  EXPECT_EQ(log.kept(), Pcs{kLibrary + 0x111});
}

TEST(ExecLogFilter, ADistrustedPageTableMayBeAnothersByNow) {
  Log log;
  log.filter.set_space(kOther, Log::modules(), true);
  log.filter.distrust_all_but(kOther);
  log.user(kCaller);
  EXPECT_EQ(log.kept(), Pcs{kCaller});
  log.filter.trust(kRoot);
  log.user(kCaller).kernel().page_table(kOther.value).user(kCaller);
  EXPECT_EQ(log.kept(), Pcs{});
}

TEST(ExecLogFilter, SplitPageTablesAreOne) {
  Log log;
  log.kernel().page_table(kRoot.value + 0x1000).user(kCaller);
  ASSERT_TRUE(log.filter.position(0));
  EXPECT_EQ(log.filter.position(0)->root, kRoot + 0x1000);
  EXPECT_EQ(log.kept(), Pcs{kCaller});  // not known
  log.filter.set_split_page_tables();
  log.user(kCaller).user(kFunction).kernel().page_table(kRoot.value);
  log.page_table(kRoot.value + 0x1000).user(kSecond);
  EXPECT_EQ(log.kept(), (Pcs{kFunction, kSecond}));
  EXPECT_EQ(log.filter.position(0)->root, kRoot);
}

TEST(ExecLogFilter, AStretchIsOfOneThread) {
  Log log;
  log.user(kFunction).kernel(kSyscall).user(kSecond);
  auto kept = log.filter.take();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_NE(kept[0].stretch, kept[1].stretch);  // the kernel may have changed threads
  log.filter.set_context_switches({kSwitch});
  log.user(kFunction).kernel(kSyscall).user(kSecond).kernel().kernel(kSwitch).user(kFunction);
  kept = log.filter.take();
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0].stretch, kept[1].stretch);
  EXPECT_NE(kept[1].stretch, kept[2].stretch);
  EXPECT_EQ(log.filter.position(0)->stretch, kept[2].stretch);
}

TEST(ExecLogFilter, ForgetsThePageTablesThatNobodyKnowsWhenThereAreTooMany) {
  Log log;
  log.kernel();
  for (std::uint64_t i = 0; i < 3 * ExecLogFilter::kMaxSpaces; ++i) {
    log.page_table(0x10000000 + i * 0x1000).user(kCaller).kernel();
    EXPECT_EQ(log.kept(), Pcs{kCaller});
  }
  log.page_table(kRoot.value).user(kCaller).user(kFunction);
  EXPECT_EQ(log.kept(), Pcs{kFunction});  // this one is known
}

TEST(ExecLogFilter, IgnoresVcpusThatThereCannotBe) {
  Log log;
  log.user(kFunction, 100000);
  EXPECT_EQ(log.kept(), Pcs{});
}

TEST(ExecLogFilter, CountsTheCallsOfRealLogs) {
  const struct {
    const char* file;
    std::uint64_t function;
    std::size_t calls;
  } kLogs[] = {
      // syscall(), three times, once interrupted before its first instruction.
      {"exec-log-7.2", 0x7ffff7ee1810, 3},
      // strlen(), whose page was absent at its first call.
      {"exec-log-11.1", 0x7ffff7e89d50, 2},
  };
  constexpr Va kLibc{0x7ffff7de0000};
  for (const auto& [file, function, calls] : kLogs) {
    ExecLogFilter filter;
    filter.set_syscall_entries({Va{0xffffffffa3400080}});
    filter.set_vcpu(0, kRoot.value, true);
    filter.set_space(
        kRoot,
        {{{kLibc, kLibc + 0x200000}, kLibc, entries({function - kLibc.value}), nullptr, true}},
        true);
    ExecLogParser parser(filter);
    parser.feed(recorded(file));
    EXPECT_EQ(filter.take().size(), calls) << file;
  }
}

}  // namespace
}  // namespace swat::daemon
