#include "daemon/process_life.hpp"

#include <gtest/gtest.h>

#include "attached.hpp"
#include "collector.hpp"
#include "fake_model.hpp"
#include "selections.hpp"

namespace swat::daemon {
namespace {

constexpr std::uint64_t kSpace = 0xffff888000100000;
constexpr Va kBase{0x555500000000};

os::Thread thread_with(std::uint32_t pid, std::uint64_t object, std::uint32_t tid = 0) {
  os::Thread thread = thread_of(pid, kSpace, tid);
  thread.process.object = Va{object};
  thread.object = Va{object + (tid == 0 ? 0 : std::uint64_t{tid - pid} * 0x10000)};
  return thread;
}

const os::Thread kLeader = thread_with(10, 0xffff888001000000);
const os::Thread kOther = thread_with(10, 0xffff888001000000, 11);

struct Lives : Attached {
  Lives() : Attached({}) {
    log.add(std::make_unique<Collector>(events));
    map_tiny_elf(model, kSpace, kBase, "/bin/app", 1);
  }
  // Its process is in the guest's list from now on.
  Actor meet(const os::Thread& thread) {
    model.alive.push_back(thread.process);
    auto actor = life.meet(0, thread);
    EXPECT_TRUE(actor);
    return actor ? *std::move(actor) : Actor{};
  }
  // In order: true for a start, false for an exit.
  [[nodiscard]] std::vector<bool> told() const {
    std::vector<bool> told;
    for (const Event& event : events) {
      if (const auto* change = std::get_if<ProcessEvent>(&event.what))
        told.push_back(change->started);
    }
    return told;
  }

  std::vector<Event> events;
  FakeModel model;
  EventLog log;
  ProcessTable processes{model};
  TrapSet traps{session};
  ModuleTraps modules{processes, traps, log, nullptr, {}};
  Selection wanted = selection("all", {"*!*"});
  ProcessLife life{model, processes, modules, log, wanted};
};

TEST(ProcessLife, TellsThatAProcessHasStartedAndExited) {
  Lives t;
  t.life.end(t.meet(kLeader));
  EXPECT_EQ(t.told(), (std::vector{true, false}));
}

// Of several vCPUs another one stops while this one is still in exit_group.
TEST(ProcessLife, WhatIsStillInItsExitDoesNotStartAnew) {
  Lives t;
  t.life.end(t.meet(kLeader));
  (void)t.meet(kLeader);
  EXPECT_EQ(t.told(), (std::vector{true, false}));
  EXPECT_EQ(t.processes.find(kLeader.process), nullptr);
}

TEST(ProcessLife, OtherThreadsMayCallUntilTheyAreKilled) {
  Lives t;
  t.life.end(t.meet(kLeader));
  const std::size_t before = t.events.size();
  EXPECT_TRUE(t.meet(kOther).selected);
  EXPECT_EQ(t.events.size(), before);
  EXPECT_NE(t.processes.find(kOther.process), nullptr);
}

TEST(ProcessLife, ANumberThatIsUsedAgainIsAnotherProcess) {
  Lives t;
  t.life.end(t.meet(kLeader));
  (void)t.meet(thread_with(10, 0xffff888002000000));
  EXPECT_EQ(t.told(), (std::vector{true, false, true}));
}

// Where nothing tells numbers.
TEST(ProcessLife, ProcessesWithoutANumberAreToldApart) {
  Lives t;
  os::Thread one = thread_of(0, kSpace);
  one.process.key = os::ProcessKey{1};
  os::Thread other = thread_of(0, kSpace + 0x1000);
  other.process.key = os::ProcessKey{2};
  const Actor actor = t.meet(one);
  (void)t.meet(other);
  t.life.end(actor);
  EXPECT_EQ(t.told(), (std::vector{true, true, false}));
  EXPECT_FALSE(t.life.is_alive(one.process.key));
  EXPECT_TRUE(t.life.is_alive(other.process.key));
}

}  // namespace
}  // namespace swat::daemon
