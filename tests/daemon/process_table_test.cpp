#include "daemon/process_table.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"

namespace swat::daemon {
namespace {

using symbols::TinyElf;

constexpr std::uint64_t kSpace = 0xffff888000100000;
constexpr Va kBase{0x555500000000};
constexpr Va kOther{0x7f0000000000};
const os::Thread kThread = thread_of(10, kSpace);

struct Table {
  Table() { map_tiny_elf(model, kSpace, kBase, "/bin/app", 1); }
  ProcessTable::Change refresh(const os::Thread& thread = kThread) {
    auto change = processes.refresh(thread);
    EXPECT_TRUE(change);
    return change ? *std::move(change) : ProcessTable::Change{};
  }

  FakeModel model;
  ProcessTable processes{model};
};

TEST(ProcessTable, KnowsNobodyAtFirst) {
  Table t;
  EXPECT_EQ(t.processes.find(kThread.process), nullptr);
  EXPECT_TRUE(t.processes.is_stale(kThread));
}

TEST(ProcessTable, ListsWhatIsMappedWhenAProcessIsFirstSeen) {
  Table t;
  const auto change = t.refresh();
  EXPECT_TRUE(change.is_new);
  EXPECT_TRUE(change.slots_changed);
  ASSERT_EQ(change.loaded.size(), 1u);
  EXPECT_EQ(change.loaded[0].path, "/bin/app");
  EXPECT_FALSE(t.processes.is_stale(kThread));
}

TEST(ProcessTable, FindsNoChangeWhereThereIsNone) {
  Table t;
  t.refresh();
  const auto change = t.refresh();
  EXPECT_FALSE(change.is_new || change.slots_changed);
  EXPECT_TRUE(change.loaded.empty());
  EXPECT_TRUE(change.unloaded.empty());
}

// Whoever keeps something of a view asks whether it still holds.
TEST(ProcessTable, TellsOfChangesByNumbers) {
  Table t;
  const std::uint64_t before = t.processes.changes();
  t.refresh();
  EXPECT_NE(t.processes.changes(), before);
  const ProcessView& view = *t.processes.find(kThread.process);
  const std::uint64_t generation = view.generation;
  t.refresh();
  EXPECT_EQ(view.generation, generation);
  t.model.maps[kSpace][0].range.end = t.model.maps[kSpace][0].range.end + 0x1000;
  t.refresh();
  EXPECT_NE(view.generation, generation);
  const std::uint64_t changes = t.processes.changes();
  t.processes.will_remap(kThread);
  EXPECT_NE(t.processes.changes(), changes);
}

TEST(ProcessTable, TellsOnceWhoHasSpawned) {
  Table t;
  EXPECT_FALSE(t.processes.take_spawner());
  t.processes.will_spawn(kThread);
  EXPECT_EQ(t.processes.take_spawner(), Va{kSpace});
  EXPECT_FALSE(t.processes.take_spawner());
}

// TinyElf's slots: JUMP_SLOT, GLOB_DAT and IRELATIVE, one word after the other.
TEST(ProcessTable, SpansTheSlotsOfAModule) {
  Table t;
  t.refresh();
  const ProcessView* view = t.processes.find(kThread.process);
  ASSERT_NE(view, nullptr);
  EXPECT_EQ(view->modules.at(0).slot_ranges(),
            (std::vector<VaRange>{{kBase + TinyElf::kSlots, kBase + TinyElf::kSlots + 24}}));
}

TEST(ProcessTable, NoticesAModuleThatComesAndOneThatGoes) {
  Table t;
  t.refresh();
  t.model.maps[kSpace].clear();
  map_tiny_elf(t.model, kSpace, kOther, "/lib/libtiny.so", 2);
  const auto change = t.refresh();
  ASSERT_EQ(change.loaded.size(), 1u);
  EXPECT_EQ(change.loaded[0].path, "/lib/libtiny.so");
  ASSERT_EQ(change.unloaded.size(), 1u);
  EXPECT_EQ(change.unloaded[0].path, "/bin/app");
  EXPECT_TRUE(change.slots_changed);
}

TEST(ProcessTable, TakesAnotherFileAtTheSamePlaceForAnotherModule) {
  Table t;
  t.refresh();
  t.model.maps[kSpace][0].file_id = 99;
  const auto change = t.refresh();
  EXPECT_EQ(change.loaded.size(), 1u);
  EXPECT_EQ(change.unloaded.size(), 1u);
}

TEST(ProcessTable, FindsTheModuleThatHoldsAnAddress) {
  Table t;
  map_tiny_elf(t.model, kSpace, kOther, "/lib/libtiny.so", 2);
  t.refresh();
  const ProcessView* view = t.processes.find(kThread.process);
  ASSERT_NE(view, nullptr);
  EXPECT_EQ(view->module_at(kOther + TinyElf::kBytes - 1)->module.path, "/lib/libtiny.so");
  EXPECT_EQ(view->module_at(kBase)->module.path, "/bin/app");
  EXPECT_EQ(view->module_at(kOther + TinyElf::kBytes), nullptr);
  EXPECT_EQ(view->module_at(kBase - 1), nullptr);
}

TEST(ProcessTable, ForgetsNothingWhenTheMapsCannotBeRead) {
  Table t;
  t.refresh();
  t.model.maps_fail = true;
  EXPECT_FALSE(t.processes.refresh(kThread));
  EXPECT_EQ(t.processes.find(kThread.process)->modules.size(), 1u);
}

// --- When it is to be read again

TEST(ProcessTable, IsStaleUntilTheThreadThatMapsHasComeBack) {
  Table t;
  t.refresh();
  t.processes.will_remap(kThread);
  EXPECT_TRUE(t.processes.is_stale(kThread));
  t.refresh();
  EXPECT_FALSE(t.processes.is_stale(kThread));
}

TEST(ProcessTable, IsStaleUntilEveryThreadThatMapsHasComeBack) {
  Table t;
  const os::Thread second = thread_of(10, kSpace, 11);
  t.refresh();
  t.processes.will_remap(kThread);
  t.processes.will_remap(second);
  t.refresh(kThread);
  EXPECT_TRUE(t.processes.is_stale(kThread));
  t.refresh(second);
  EXPECT_FALSE(t.processes.is_stale(kThread));
}

TEST(ProcessTable, NeverReadsKernelThreads) {
  Table t;
  EXPECT_FALSE(t.processes.is_stale(thread_of(2, 0)));
}

TEST(ProcessTable, TriesAgainUntilHeadersArePagedIn) {
  Table t;
  t.model.spaces[kSpace].lose_page(kBase);
  EXPECT_FALSE(t.refresh().slots_changed);
  EXPECT_TRUE(t.processes.is_stale(kThread));
  t.model.spaces[kSpace].page_in(kBase);
  EXPECT_TRUE(t.refresh().slots_changed);
  EXPECT_FALSE(t.processes.is_stale(kThread));
}

TEST(ProcessTable, ReadsHeadersThatAreNotPagedInWhereTheKernelHasTheFile) {
  Table t;
  t.model.spaces_and_files = t.model.spaces;
  t.model.spaces[kSpace].lose_page(kBase);
  EXPECT_TRUE(t.refresh().slots_changed);
  EXPECT_FALSE(t.processes.is_stale(kThread));
}

// ld.so maps the file as a whole, whose parts are then not where they will be.
TEST(ProcessTable, ReadsNoFileWhosePartsAreNotMappedYet) {
  Table t;
  t.model.spaces_and_files = t.model.spaces;
  t.model.spaces[kSpace].lose_page(kBase);
  os::Mapping& whole = t.model.maps[kSpace].at(0);
  const VaRange all = whole.range;
  whole.range.end = all.start + TinyElf::kPage;
  EXPECT_FALSE(t.refresh().slots_changed);
  EXPECT_TRUE(t.processes.is_stale(kThread));
  os::Mapping shifted = whole;  // of the same file, at another offset than the headers say
  shifted.range = {whole.range.end, all.end};
  shifted.file_offset = 0;
  t.model.maps[kSpace].push_back(shifted);
  EXPECT_FALSE(t.refresh().slots_changed);
  t.model.maps[kSpace].at(1).file_offset = TinyElf::kPage;
  EXPECT_TRUE(t.refresh().slots_changed);
  EXPECT_FALSE(t.processes.is_stale(kThread));
}

TEST(ProcessTable, TriesEverMoreRarely) {
  Table t;
  t.model.spaces[kSpace].lose_page(kBase);
  t.refresh();
  unsigned tries = 0;
  for (unsigned event = 0; event < 100000; ++event) tries += t.processes.is_stale(kThread) ? 1 : 0;
  EXPECT_GT(tries, 32u);
  EXPECT_LT(tries, 128u);
}

TEST(ProcessTable, AsksOnceAboutAFileThatIsNoImage) {
  Table t;
  t.model.spaces[kSpace].put(kBase, {'#', '!', '/', 'b'});
  EXPECT_FALSE(t.refresh().slots_changed);
  EXPECT_FALSE(t.processes.is_stale(kThread));
}

// --- vfork: two processes in one address space

TEST(ProcessTable, MeetsAnotherProcessInTheSameAddressSpace) {
  Table t;
  t.refresh();
  const os::Thread child = thread_of(20, kSpace);
  t.model.alive = {kThread.process, child.process};
  EXPECT_TRUE(t.processes.is_stale(child));
  const auto change = t.refresh(child);
  EXPECT_TRUE(change.is_new);
  EXPECT_TRUE(change.loaded.empty());
  EXPECT_FALSE(t.processes.is_stale(child));
}

TEST(ProcessTable, KeepsAnAddressSpaceForItsLastProcess) {
  Table t;
  t.refresh();
  t.model.alive = {kThread.process, thread_of(20, kSpace).process};
  t.refresh(thread_of(20, kSpace));
  EXPECT_FALSE(t.processes.forget(Va{kSpace}, os::ProcessKey{20}));
  ASSERT_NE(t.processes.find(kThread.process), nullptr);
  EXPECT_TRUE(t.processes.forget(Va{kSpace}, os::ProcessKey{10}));
  EXPECT_EQ(t.processes.find(kThread.process), nullptr);
}

// The kernel gives the memory of a dead process's mm_struct to another one.
TEST(ProcessTable, TakesNothingOverFromADeadProcessWhoseAddressSpaceLayThere) {
  Table t;
  t.refresh();
  const os::Thread heir = thread_of(20, kSpace);
  t.model.alive = {heir.process};
  const auto change = t.refresh(heir);
  EXPECT_TRUE(change.is_new);
  EXPECT_TRUE(change.unloaded.empty());
  EXPECT_FALSE(change.loaded.empty());
  EXPECT_TRUE(t.processes.forget(Va{kSpace}, os::ProcessKey{20}));
}

// Where only what was touched shows, there may always be more.
TEST(ProcessTable, LooksAgainForModulesThatHaveNotBeenTouched) {
  Table t;
  t.model.touched_pages_only = true;
  t.refresh();
  EXPECT_TRUE(t.processes.is_stale(kThread));
  map_tiny_elf(t.model, kSpace, Va{0x7f0000000000}, "/lib/more.so", 77);
  EXPECT_EQ(t.refresh().loaded.size(), 1u);
}

TEST(ProcessTable, ForgetsNobodyElseThanTheOneNamed) {
  Table t;
  t.refresh();
  EXPECT_FALSE(t.processes.forget(Va{kSpace}, os::ProcessKey{77}));
  EXPECT_FALSE(t.processes.forget(Va{0x1234}, os::ProcessKey{10}));
  EXPECT_NE(t.processes.find(kThread.process), nullptr);
}

}  // namespace
}  // namespace swat::daemon
