#include "daemon/exec_log_filter.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "daemon/exec_log_parser.hpp"
#include "recorded.hpp"

namespace swat::daemon {
namespace {

constexpr Pa kRoot{0x2a12000};
constexpr Pa kOther{0x2904000};
constexpr Va kProgram{0x5000000};
constexpr Va kLibrary{0x7f0000000};
constexpr Va kFunction = kLibrary + 0x1000;
constexpr Va kSecond = kLibrary + 0x2340;
constexpr Va kCaller = kProgram + 0x123;
constexpr Va kFault{0xffffffff81000be0};
constexpr Va kSyscall{0xffffffff81000080};
constexpr Va kSwitch{0xffffffff81002000};

using Pcs = std::vector<Va>;

std::shared_ptr<const EntryPoints> entries(std::vector<std::uint64_t> offsets) {
  return std::make_shared<const EntryPoints>(std::move(offsets));
}

// A process with a program, which exports nothing, and a library of two functions.
class Log {
 public:
  ExecLogFilter filter;

  Log() {
    filter.set_syscall_entries({kSyscall});
    filter.set_vcpu(0, kRoot.value, true);
    filter.set_space(kRoot, modules(), true);
  }

  static std::vector<LoggedModule> modules() {
    return {{{kProgram, kProgram + 0x1000}, kProgram, entries({}), nullptr, true},
            {{kLibrary, kLibrary + 0x4000}, kLibrary, entries({0x1000, 0x2340}), nullptr, true}};
  }

  Log& user(Va pc, unsigned vcpu = 0) { return trace(pc, 0x0040c2b3, vcpu); }
  Log& kernel(Va pc = kFault, unsigned vcpu = 0) { return trace(pc, 0x0040c2b0, vcpu); }
  Log& stopped(Va pc) {
    filter.on_stopped_before(pc);
    return *this;
  }
  Log& page_table(std::uint64_t cr3) {
    filter.on_page_table(cr3);
    return *this;
  }

  Pcs kept() {
    Pcs pcs;
    for (const Execution& block : filter.take()) pcs.push_back(block.pc);
    return pcs;
  }

 private:
  Log& trace(Va pc, std::uint32_t flags, unsigned vcpu) {
    filter.on_trace({vcpu, pc, flags});
    return *this;
  }
};

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

// --- Several vCPUs

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

// Excerpts of real logs of counted.c; the counts are what it did meanwhile.
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
