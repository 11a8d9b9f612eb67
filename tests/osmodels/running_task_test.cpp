// Which task runs, on kernels that keep it in no variable of a known name: the run queue of ARM and
// of old AArch64, and the bottom of i386's kernel stacks. Tasks in an array of RAM, as large as
// they have to be. [kernel/sched/sched.h, struct rq; arch/x86/include/asm/thread_info.h of
// Linux 4.8]
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "osmodels/linux/kernel_stack_task.hpp"
#include "osmodels/linux/per_cpu_task.hpp"
#include "osmodels/linux/run_queue_slots.hpp"
#include "osmodels/page_geometry.hpp"
#include "tests/osmodels/memory_fakes.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kBase = 0xc0000000;
constexpr std::uint64_t kRoot = 0x4000;
constexpr std::size_t kRamBytes = 4 << 20;
constexpr std::uint64_t kTasks = 0x200000;
constexpr std::uint64_t kTaskBytes = 0x1000;
constexpr std::uint64_t kImage = 0x100000;
constexpr std::size_t kImageBytes = 0x8000;
constexpr std::uint64_t kPerCpu = 0x80000;  // what the CPU adds

// task_struct, as far as it is read.
constexpr std::uint32_t kMm = 0x10, kPid = 0x20, kTgid = 0x24, kParent = 0x28, kLeader = 0x2c,
                        kComm = 0x40;

LinuxProfile small_profile() {
  LinuxProfile profile;
  profile.layout = {4, kBase, 0x4000};
  profile.task_mm = kMm;
  profile.task_pid = kPid;
  profile.task_tgid = kTgid;
  profile.task_real_parent = kParent;
  profile.task_group_leader = kLeader;
  profile.task_comm = kComm;
  profile.mm_pgd = 0;
  return profile;
}

class RunningTask : public testing::Test, public GuestView {
 protected:
  RunningTask() {
    // Sections of a megabyte for ARM; one page of 4 MiB for i386.
    for (std::uint64_t at = 0; at < kRamBytes; at += 1 << 20) {
      memory.store(kRoot + ((kBase + at) >> 20) * 4, static_cast<std::uint32_t>(at) | 0x40e);
    }
    put_task(0, "swapper/0");
    put_task(1, "init");
    put_task(2, "migration/0");
    put_task(3, "sh");
  }

  Architecture architecture() const override { return kind; }
  unsigned vcpu_count() const override { return 1; }
  Result<std::uint64_t> reg(unsigned, std::string_view name) override {
    const auto found = registers.find(name);
    if (found == registers.end()) return fail(Errc::kNotFound, "no register");
    return found->second;
  }
  Result<X86SystemTables> x86_tables(unsigned) override {
    X86SystemTables tables;
    tables.tr_base = Va{kBase + kTss};
    return tables;
  }
  PhysicalMemory& ram() override { return memory; }

  static std::uint32_t task(unsigned i) {
    return static_cast<std::uint32_t>(kBase + kTasks + i * kTaskBytes);
  }
  void put_task(unsigned i, std::string_view name) {
    const std::uint64_t at = kTasks + i * kTaskBytes;
    memory.store<std::uint32_t>(at + kPid, i);
    memory.store<std::uint32_t>(at + kTgid, i);
    memory.store(at + kParent, task(0));
    memory.store(at + kLeader, task(i));
    for (std::size_t n = 0; n < name.size(); ++n) memory.store(at + kComm + n, name[n]);
  }
  void put_words(std::uint64_t at, std::initializer_list<std::uint32_t> words) {
    for (const std::uint32_t word : words) {
      memory.store(at, word);
      at += 4;
    }
  }
  CurrentTaskInput input() {
    return {*this, space, profile, tasks, symbols, {Va{kBase + kImage}, image, 4}, Va{task(0)}};
  }
  // As an i386 has it, whose table of the first level is the same page.
  void become_i386() {
    kind = Architecture::kI386;
    memory.store<std::uint32_t>(kRoot + (kBase >> 22) * 4, 0x83);
  }

  static constexpr std::uint64_t kTss = 0x300000;
  test::ArrayRam memory{kRamBytes};
  std::map<std::string, std::uint64_t, std::less<>> registers = {{"TPIDRPRW", kPerCpu}};
  Architecture kind = Architecture::kArm;
  LinuxProfile profile = small_profile();
  symbols::SymbolTable symbols;
  std::vector<std::byte> image = std::vector<std::byte>(kImageBytes);
  AddressSpace space{memory, *find_geometry("arm-v6"), Pa{kRoot}};
  TaskReader tasks{memory, space, profile};
};

constexpr std::uint64_t kSlot = kImage + 0x1230;  // of `curr`, in the image
constexpr std::uint32_t kTicks = 0xffff8ad0;      // next_balance: jiffies begin below zero

TEST_F(RunningTask, IsBeforeTheIdleTaskInTheRunQueue) {
  put_words(kSlot + kPerCpu, {task(3), task(0), task(2), kTicks, 0});
  const auto slots = run_queue_slots(input(), Va{kPerCpu});
  ASSERT_FALSE(slots.empty());
  EXPECT_EQ(slots.front(), kBase + kSlot);
}

// 6.12 has dl_server between the two: null, or something in the run queue itself.
TEST_F(RunningTask, IsBeforeTheDeadlineServer) {
  for (const std::uint64_t server : {std::uint64_t{0}, kBase + kSlot + kPerCpu - 0x80}) {
    put_words(kSlot + kPerCpu,
              {task(3), static_cast<std::uint32_t>(server), task(0), task(2), kTicks, 0});
    const auto slots = run_queue_slots(input(), Va{kPerCpu});
    ASSERT_FALSE(slots.empty());
    EXPECT_EQ(slots.front(), kBase + kSlot);
  }
}

// init_task's parents are itself; lists follow.
TEST_F(RunningTask, IsNotWhatPointsTwiceToTheIdleTask) {
  put_words(kImage + kPerCpu + 0x100, {task(0), task(0), task(1) + 0x30, task(3) + 0x30, 5, 6});
  put_words(kSlot + kPerCpu, {task(3), task(0), task(2), kTicks, 0});
  EXPECT_EQ(run_queue_slots(input(), Va{kPerCpu}).front(), kBase + kSlot);
}

TEST_F(RunningTask, FollowsTheRunQueue) {
  put_words(kSlot + kPerCpu, {task(3), task(0), task(2), kTicks, 0});
  const auto found = PerCpuTask::find(input());
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ((*found)->read(0, {})->tid, 3u);
  memory.store(kSlot + kPerCpu, task(1));
  EXPECT_EQ((*found)->read(0, {})->process.name, "init");
}

// A kernel that has a per-CPU area has its run queue there, and no other in the image.
TEST_F(RunningTask, IsInTheImageOfAKernelForOneCpuAlone) {
  const std::vector<std::uint32_t> queue = {task(3), task(0), 0, 0, 0};
  std::memcpy(image.data() + (kSlot - kImage), queue.data(), queue.size() * 4);
  put_words(kSlot, {task(3), task(0), 0, 0, 0});
  const auto refused = PerCpuTask::find(input());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kNotFound);
  registers["TPIDRPRW"] = 0;
  const auto found = PerCpuTask::find(input());
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ((*found)->read(0, {})->tid, 3u);
}

// --- AArch64 until 4.9

constexpr std::uint64_t kBase64 = 0xffffff8000000000;

class RunningTask64 : public RunningTask {
 protected:
  RunningTask64() {
    kind = Architecture::kAarch64;
    registers = {{"TPIDR_EL1", kPerCpu}};
    constexpr std::uint64_t kBlockOfTheKernel = 0x701;  // the first gigabyte of its half
    memory.store(kRoot, kBlockOfTheKernel);
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint64_t at = kTasks + i * kTaskBytes;
      memory.store(at + kParent, task64(0));
      memory.store(at + kLeader64, task64(i));
    }
  }
  static LinuxProfile wide_profile() {
    LinuxProfile wide = small_profile();
    wide.layout = {8, kBase64, 4096};
    wide.task_group_leader = kLeader64;
    return wide;
  }
  static std::uint64_t task64(unsigned i) { return kBase64 + kTasks + i * kTaskBytes; }
  void put_words64(std::uint64_t at, std::initializer_list<std::uint64_t> words) {
    for (const std::uint64_t word : words) {
      memory.store(at, word);
      at += 8;
    }
  }
  CurrentTaskInput input64() {
    return {*this,        space64, profile64, tasks64, symbols, {Va{kBase64 + kImage}, image, 8},
            Va{task64(0)}};
  }

  static constexpr std::uint32_t kLeader64 = 0x30;
  AddressSpace space64{memory, *find_geometry("aarch64-4k-39-kernel"), Pa{kRoot}};
  LinuxProfile profile64 = wide_profile();
  TaskReader tasks64{memory, space64, profile64};
};

TEST_F(RunningTask64, IsInTheRunQueueWhereNoCodeNamesAnotherSlot) {
  put_words64(kSlot + kPerCpu, {task64(3), task64(0), task64(2), 0xffff8ad0, 0});
  const auto found = PerCpuTask::find(input64());
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_NE((*found)->found_by().find("run queue"), std::string::npos);
  EXPECT_EQ((*found)->read(0, {})->tid, 3u);
  memory.store(kSlot + kPerCpu, task64(1));
  EXPECT_EQ((*found)->read(0, {})->process.name, "init");
}

// What lies behind init_task, far away in the direct map, is not looked at.
TEST_F(RunningTask64, IsLookedForBeforeTheIdleTaskAlone) {
  CurrentTaskInput before = input64();
  before.init_task = Va{kBase64 + kSlot};
  put_words64(kSlot + kPerCpu, {task64(3), before.init_task.value, task64(2), 0xffff8ad0, 0});
  EXPECT_TRUE(run_queue_slots(before, Va{kPerCpu}).empty());
}

// --- i386 until 4.8

constexpr std::uint64_t kStacks = 0x340000;

class StackTask : public RunningTask {
 protected:
  StackTask() { become_i386(); }
  // The stack of task `i`, which the TSS names from now on.
  void run(unsigned i, std::uint64_t stack_bytes) {
    const std::uint64_t bottom = kStacks + i * stack_bytes;
    memory.store(bottom, task(i));
    memory.store(kTss + 4, static_cast<std::uint32_t>(kBase + bottom + stack_bytes));
  }
  AddressSpace i386_space{memory, *find_geometry("i386"), Pa{kRoot}};
  TaskReader i386_tasks{memory, i386_space, profile};
  CurrentTaskInput i386_input() {
    return {*this,      i386_space, profile, i386_tasks, symbols, {Va{kBase + kImage}, image, 4},
            Va{task(0)}};
  }
};

TEST_F(StackTask, IsWhatThreadInfoPointsTo) {
  for (const std::uint64_t bytes : {8192, 16384}) {
    run(3, bytes);
    const auto found = KernelStackTask::find(i386_input());
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ((*found)->read(0, {})->tid, 3u);
    EXPECT_EQ((*found)->read(0, {})->tid, 3u);  // by what is known of the stack
    run(1, bytes);
    EXPECT_EQ((*found)->read(0, {})->process.name, "init");
    memory.store<std::uint32_t>(kStacks + 3 * bytes, 0);
    memory.store<std::uint32_t>(kStacks + bytes, 0);
  }
}

// CONFIG_4KSTACKS: what would be the bottom of a stack of 8 KiB is another's.
TEST_F(StackTask, MayBeOnAStackOfOnePage) {
  run(3, 4096);
  const auto found = KernelStackTask::find(i386_input());
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ((*found)->read(0, {})->tid, 3u);
  EXPECT_NE((*found)->found_by().find("4096 bytes"), std::string::npos);
}

TEST_F(StackTask, IsNoneWhereTheStackHasNoTask) {
  memory.store(kTss + 4, static_cast<std::uint32_t>(kBase + kStacks + 8192));
  EXPECT_EQ(KernelStackTask::find(i386_input()).error().code, Errc::kNotFound);
}

TEST_F(StackTask, IsNotLookedForWhereThreadInfoIsInTheTask) {
  run(3, 8192);
  profile.task_thread_flags = 0;
  EXPECT_EQ(KernelStackTask::find(i386_input()).error().code, Errc::kUnsupported);
}

}  // namespace
}  // namespace swat::os
