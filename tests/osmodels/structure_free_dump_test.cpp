// What page tables and pages alone tell of the processes in dumps of real guests, against what the
// guests said of themselves.
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <sstream>

#include "linux_dump.hpp"
#include "osmodels/linux/structure_free_model.hpp"

namespace swat::os {
namespace {

using test::DumpView;
using test::LinuxDump;
using test::Truth;

// The guest, as it would be while another process runs on its first vCPU.
class RunningView final : public GuestView {
 public:
  explicit RunningView(DumpView& view) : view_(view) {}
  Architecture architecture() const override { return view_.architecture(); }
  unsigned vcpu_count() const override { return view_.vcpu_count(); }
  Result<std::uint64_t> reg(unsigned vcpu, std::string_view name) override {
    if (vcpu == 0 && name == "cr3" && !root.is_null()) return root.value;
    return view_.reg(vcpu, name);
  }
  Result<X86SystemTables> x86_tables(unsigned vcpu) override { return view_.x86_tables(vcpu); }
  PhysicalMemory& ram() override { return view_.ram(); }

  Pa root;  // of the process's page table; null: of the one that did run

 private:
  DumpView& view_;
};

// Start of a mapping -> path, of those that begin with their file's first byte, and of the vDSO.
std::map<std::uint64_t, std::string> starts_of(const Truth::Process& truth) {
  std::map<std::uint64_t, std::string> found;
  for (const std::string& line : truth.maps) {
    std::istringstream words(line);
    std::string range;
    std::string rights;
    std::string offset;
    std::string device;
    std::string inode;
    std::string path;
    words >> range >> rights >> offset >> device >> inode >> path;
    if (std::stoull(offset, nullptr, 16) == 0) found[std::stoull(range, nullptr, 16)] = path;
  }
  return found;
}

class StructureFreeDump : public LinuxDump {
 protected:
  // Of the process that runs.
  void compare(OsModel& model, const Truth::Process& truth) {
    const auto thread = model.current(0);
    ASSERT_TRUE(thread) << truth.name << ": " << thread.error().what;
    EXPECT_EQ(thread->process.name, truth.name.substr(0, 15));
    const auto mappings = model.mappings(thread->process);
    ASSERT_TRUE(mappings) << truth.name << ": " << mappings.error().what;
    const auto starts = starts_of(truth);
    for (const Module& module : modules_of(*mappings)) {
      const auto there = starts.find(module.base.value);
      ASSERT_NE(there, starts.end()) << truth.name << ": " << module.path;
      const bool is_run_by_a_link = there->second == "/bin/busybox";
      EXPECT_TRUE(is_run_by_a_link || module.path == there->second) << truth.name << module.path;
      ++modules;
    }
    ++processes;
  }

  std::size_t processes = 0;
  std::size_t modules = 0;
};

TEST_P(StructureFreeDump, TellsProcessesAndModulesThatAreThere) {
  const auto guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  RunningView running(*guest.view);
  const auto model = attach_structure_free_linux(running, {});
  ASSERT_TRUE(model) << model.error().what;
  for (const Process& process :
       guest.linux_guest->model->processes().value_or(std::vector<Process>{})) {
    const auto truth = guest.truth.processes.find(process.pid);
    const bool has_moved_on = process.pid == guest.truth.reporter;
    if (truth == guest.truth.processes.end() || !process.page_table || has_moved_on) continue;
    running.root = *process.page_table;
    compare(**model, truth->second);
  }
  EXPECT_GT(processes, 2u);
  std::cout << GetParam() << ": " << modules << " modules of " << processes << " processes\n";
}

// As many as have user memory by their structures, and under the same tables.
TEST_P(StructureFreeDump, FindsEveryPageTableInRam) {
  const auto guest = attach();
  ASSERT_TRUE(guest.linux_guest) << guest.linux_guest.error().what;
  std::set<Pa> expected;
  for (const Process& p : guest.linux_guest->model->processes().value_or(std::vector<Process>{})) {
    if (p.page_table) expected.insert(*p.page_table);
  }
  const auto model = attach_structure_free_linux(*guest.view, {"", true});
  ASSERT_TRUE(model) << model.error().what;
  std::set<Pa> found;
  for (const Process& process : (*model)->processes().value_or(std::vector<Process>{})) {
    found.insert(process.page_table.value_or(Pa{}));
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(found.size(),
            static_cast<std::size_t>(std::ranges::count_if(
                guest.truth.processes, [](const auto& p) { return !p.second.maps.empty(); })));
}

INSTANTIATE_TEST_SUITE_P(Dumps, StructureFreeDump, testing::ValuesIn(test::dump_names()),
                         test::dump_test_name);

}  // namespace
}  // namespace swat::os
