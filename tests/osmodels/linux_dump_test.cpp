// The Linux model against dumps of real guests and what these guests said of themselves.
#include "linux_dump.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <set>

#include "osmodels/linux/kernel_locator.hpp"
#include "osmodels/model.hpp"
#include "patched_view.hpp"

namespace swat::os {
namespace {

using test::Attachment;
using test::DumpView;
using test::LinuxDump;
using test::PatchedView;
using test::Truth;

bool is_worker(const std::string& name) { return name.starts_with("kworker/"); }

// "pid ppid name", kernel workers aside: they come and go, and /proc decorates their names.
std::set<std::string> lines_of(const Truth& truth) {
  std::set<std::string> lines;
  for (const auto& [pid, process] : truth.processes) {
    if (is_worker(process.name)) continue;
    lines.insert(std::to_string(pid) + " " + std::to_string(process.parent_pid) + " " +
                 process.name.substr(0, 15));
  }
  return lines;
}

std::set<std::string> lines_of(const std::vector<Process>& processes) {
  std::set<std::string> lines;
  for (const Process& process : processes) {
    if (is_worker(process.name)) continue;
    lines.insert(std::to_string(process.pid) + " " + std::to_string(process.parent_pid) + " " +
                 process.name);
  }
  return lines;
}

// A line of /proc/PID/maps without device and inode.
std::string line_of(const Mapping& mapping) {
  std::array<char, 128> text;
  std::snprintf(text.data(), text.size(), "%llx-%llx %c%c%c%c %llx ",
                static_cast<unsigned long long>(mapping.range.start.value),
                static_cast<unsigned long long>(mapping.range.end.value),
                mapping.readable ? 'r' : '-', mapping.writable ? 'w' : '-',
                mapping.executable ? 'x' : '-', mapping.shared ? 's' : 'p',
                static_cast<unsigned long long>(mapping.file_offset));
  return text.data() + mapping.path;
}

// The same of what the guest printed. What the kernel's own printing does differently between
// versions and this model does not follow is evened out, and only that:
//  - until 4.11 the stack's guard page is hidden;
//  - until 6.5 an empty heap's neighbour is called [heap] too; 3.4 to 4.4 name stacks of threads.
std::string line_of(const std::string& maps_line, const Mapping* ours) {
  unsigned long long start = 0;
  unsigned long long end = 0;
  unsigned long long offset = 0;
  std::array<char, 5> rights{};
  int path_at = 0;
  std::sscanf(maps_line.c_str(), "%llx-%llx %4s %llx %*s %*s %n", &start, &end, rights.data(),
              &offset, &path_at);
  std::string path = maps_line.substr(static_cast<std::size_t>(path_at));
  if (path.starts_with("[stack:")) path.clear();
  if (ours != nullptr && path == "[stack]" && ours->range.start.value + 4096 == start) {
    start -= 4096;
  }
  if (ours != nullptr && path == "[heap]" && ours->path.empty()) path.clear();
  const bool is_file = !path.empty() && path[0] == '/';
  std::array<char, 128> text;
  std::snprintf(text.data(), text.size(), "%llx-%llx %s %llx ", start, end, rights.data(),
                is_file ? offset : 0);
  return text.data() + path;
}

void expect_same_maps(const Truth::Process& truth, const std::vector<Mapping>& mappings) {
  std::vector<std::string> theirs;
  for (const std::string& line : truth.maps) {
    if (line.ends_with("[vsyscall]")) continue;  // of no address space
    const std::size_t i = theirs.size();
    theirs.push_back(line_of(line, i < mappings.size() ? &mappings[i] : nullptr));
  }
  std::vector<std::string> ours;
  for (const Mapping& mapping : mappings) ours.push_back(line_of(mapping));
  EXPECT_EQ(ours, theirs) << "process " << truth.pid << " " << truth.name;
}

TEST_P(LinuxDump, ListsTheProcessesThatTheGuestLists) {
  const Attachment guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  const auto processes = guest.linux_guest->model->processes();
  ASSERT_TRUE(processes) << processes.error().what;
  EXPECT_EQ(lines_of(*processes), lines_of(guest.truth));
  std::cout << GetParam() << ": " << processes->size() << " processes\n";
}

TEST_P(LinuxDump, MapsWhatTheGuestSaysIsMapped) {
  const Attachment guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  OsModel& model = *guest.linux_guest->model;
  std::size_t compared = 0;
  for (const Process& process : model.processes().value_or(std::vector<Process>{})) {
    const auto truth = guest.truth.processes.find(process.pid);
    if (truth == guest.truth.processes.end() || process.pid == guest.truth.reporter) continue;
    const auto mappings = model.mappings(process);
    ASSERT_TRUE(mappings) << mappings.error().what;
    expect_same_maps(truth->second, *mappings);
    compared += mappings->size();
  }
  EXPECT_GT(compared, 100u);
  std::cout << GetParam() << ": " << compared << " mappings\n";
}

TEST_P(LinuxDump, InfersTheOffsetsThatBtfTells) {
  const Attachment with = attach();
  ASSERT_TRUE(with.linux_guest) << with.linux_guest.error().what;
  if (with.linux_guest->profile.source != "BTF") GTEST_SKIP() << "a kernel without BTF";
  for (const bool use_symbols : {true, false}) {
    const Attachment without = attach({.use_btf = false, .use_symbols = use_symbols});
    ASSERT_TRUE(without.linux_guest) << without.linux_guest.error().what;
    EXPECT_EQ(without.linux_guest->profile.source, "inference");
    for (const ProfileField& field : profile_fields()) {
      const MemberOffset told = with.linux_guest->profile.*field.member;
      const MemberOffset inferred = without.linux_guest->profile.*field.member;
      EXPECT_EQ(inferred.has_value(), told.has_value()) << field.name;
      EXPECT_EQ(inferred.value_or(0), told.value_or(0)) << field.name;
    }
  }
}

// What 7.3 has for real.
TEST_P(LinuxDump, TakesNoCopyOfThePidForIt) {
  DumpView view(directory_);
  const auto kernel = describe_linux(view);
  ASSERT_TRUE(kernel) << kernel.error().what;
  const Attachment guest = attach();
  auto leaders = guest.linux_guest->model->processes();
  ASSERT_TRUE(leaders) << leaders.error().what;
  leaders->emplace_back().object = kernel->init_task;

  PatchedView patched(view);
  const auto located = locate_kernel(view);
  ASSERT_TRUE(located) << located.error().what;
  AddressSpace memory(view.ram(), *located->geometry, located->root);
  const std::uint32_t copy = *kernel->profile.task_tasks - 16;  // accounts of the scheduler
  for (const Process& leader : *leaders) {
    const auto at = memory.translate(leader.object + copy);
    ASSERT_TRUE(at) << at.error().what;
    patched.ram().patch(at->at, leader.pid);
  }
  const auto inferred = attach_linux(patched, {.use_btf = false});
  ASSERT_TRUE(inferred) << inferred.error().what;
  EXPECT_EQ(inferred->profile.task_pid, kernel->profile.task_pid);
  EXPECT_EQ(inferred->profile.task_tgid, kernel->profile.task_tgid);
}

// "running task: per-CPU offset 0x..."
std::string slot_line(const OsModel& model) {
  for (const std::string& line : model.provenance()) {
    if (line.starts_with("running task: ")) return line.substr(0, line.find(','));
  }
  return {};
}

TEST_P(LinuxDump, FindsTheSlotOfTheRunningTaskInCodeWhereSymbolsHaveIt) {
  const Attachment with = attach();
  const Attachment without = attach({.use_btf = true, .use_symbols = false});
  ASSERT_TRUE(with.linux_guest) << with.linux_guest.error().what;
  ASSERT_TRUE(without.linux_guest) << without.linux_guest.error().what;
  EXPECT_EQ(slot_line(*without.linux_guest->model), slot_line(*with.linux_guest->model));
}

TEST_P(LinuxDump, AnswersTheSameWithoutBtfAndSymbols) {
  const Attachment guest = attach({.use_btf = false, .use_symbols = false});
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  OsModel& model = *guest.linux_guest->model;
  const auto processes = model.processes();
  ASSERT_TRUE(processes) << processes.error().what;
  EXPECT_EQ(lines_of(*processes), lines_of(guest.truth));
  for (const Process& process : *processes) {
    const auto truth = guest.truth.processes.find(process.pid);
    if (truth == guest.truth.processes.end() || process.pid == guest.truth.reporter) continue;
    const auto mappings = model.mappings(process);
    ASSERT_TRUE(mappings) << mappings.error().what;
    expect_same_maps(truth->second, *mappings);
  }
  const Attachment full = attach();
  for (unsigned vcpu = 0; vcpu < guest.view->vcpu_count(); ++vcpu) {
    const auto thread = model.current(vcpu);
    ASSERT_TRUE(thread) << thread.error().what;
    const auto expected = full.linux_guest->model->current(vcpu);
    ASSERT_TRUE(expected) << expected.error().what;
    EXPECT_EQ(thread->object, expected->object);
  }
}

TEST_P(LinuxDump, KnowsWhich32BitProcessesThereAre) {
  const Attachment guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  for (const Process& process :
       guest.linux_guest->model->processes().value_or(std::vector<Process>{})) {
    EXPECT_EQ(process.is_32_bit, process.name == "program32") << process.pid;
  }
}

TEST_P(LinuxDump, KnowsWhoRunsOnEveryCpu) {
  const Attachment guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  OsModel& model = *guest.linux_guest->model;
  for (unsigned vcpu = 0; vcpu < guest.view->vcpu_count(); ++vcpu) {
    const auto thread = model.current(vcpu);
    ASSERT_TRUE(thread) << thread.error().what;
    const auto truth = guest.truth.processes.find(thread->process.pid);
    ASSERT_TRUE(truth != guest.truth.processes.end() || thread->process.pid == 0);
    const std::uint64_t cs = guest.view->reg(vcpu, "cs").value_or(0);
    std::cout << GetParam() << ": vCPU " << vcpu
              << (cs % 4 == 3 ? " in user mode" : " in the kernel") << " runs " << thread->tid
              << " " << thread->process.name << "\n";
    if (!thread->process.page_table) continue;
    EXPECT_EQ(thread->process.name, truth->second.name);
    const std::uint64_t root = guest.view->reg(vcpu, "cr3").value_or(0) & ~std::uint64_t{0x1fff};
    EXPECT_EQ(thread->process.page_table->value & ~std::uint64_t{0x1fff}, root);
    EXPECT_EQ(thread->process.parent_pid, truth->second.parent_pid);
  }
}

TEST_P(LinuxDump, AnswersCurrentInMicroseconds) {
  const Attachment guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  OsModel& model = *guest.linux_guest->model;
  ASSERT_TRUE(model.current(0));
  constexpr int kCalls = 20000;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kCalls; ++i) {
    model.forget();
    ASSERT_TRUE(model.current(0));
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  std::cout << GetParam() << ": current() " << took.count() / kCalls << " us\n";
  EXPECT_LT(took.count() / kCalls, 100) << "ten times slower than it should be, sanitizers or not";
}

TEST_P(LinuxDump, ReadsExecutablesThroughUserPageTables) {
  const Attachment guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  OsModel& model = *guest.linux_guest->model;
  std::size_t headers = 0;
  for (const Process& process : model.processes().value_or(std::vector<Process>{})) {
    const auto memory = model.memory(process);
    const auto mappings = model.mappings(process);
    ASSERT_TRUE(mappings) << mappings.error().what;
    for (const Module& module : modules_of(*mappings)) {
      const auto magic = read_as<std::uint32_t>(*memory, module.base);
      if (!magic) continue;  // not paged in
      EXPECT_EQ(*magic, 0x464c457fu) << module.path;
      ++headers;
    }
  }
  EXPECT_GT(headers, 5u);
}

TEST_P(LinuxDump, FindsTheWaysIntoTheKernel) {
  const Attachment guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  const auto entries = guest.linux_guest->model->syscall_entries();
  ASSERT_TRUE(entries) << entries.error().what;
  std::set<SyscallEntry::Kind> kinds;
  for (const SyscallEntry& entry : *entries) {
    kinds.insert(entry.kind);
    std::cout << GetParam() << ": entry " << std::hex << entry.address.value << std::dec << ", "
              << entry.found_by << "\n";
  }
  EXPECT_TRUE(kinds.contains(SyscallEntry::Kind::kInt80));
  for (const std::string& line : guest.linux_guest->model->provenance()) {
    std::cout << GetParam() << ": " << line << "\n";
  }
}

INSTANTIATE_TEST_SUITE_P(Guests, LinuxDump, testing::ValuesIn(test::dump_names()),
                         test::dump_test_name);

}  // namespace
}  // namespace swat::os
