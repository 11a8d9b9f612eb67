#include "daemon/logged_spaces.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"
#include "selections.hpp"

namespace swat::daemon {
namespace {

constexpr std::uint64_t kOld = 0xffff888000100000;
constexpr std::uint64_t kNew = 0xffff888000200000;
constexpr Va kBase{0x555500000000};
constexpr Pa kRoot{0x27d6000};

os::Thread in_root(std::uint32_t pid, std::uint64_t memory_object) {
  os::Thread thread = thread_of(pid, memory_object);
  thread.process.page_table = kRoot;
  return thread;
}

struct Spaces {
  Spaces() {
    for (const std::uint64_t object : {kOld, kNew}) {
      map_tiny_elf(model, object, kBase, "/bin/app", 1);
    }
  }
  void meet(const os::Thread& thread) {
    EXPECT_TRUE(processes.refresh(thread));
    spaces.sync(filter);
  }
  [[nodiscard]] std::uint32_t pid_at_root() {
    const LoggedSpace* const space = spaces.at(kRoot);
    return space == nullptr ? 0 : space->view->process.pid;
  }

  FakeModel model;
  ProcessTable processes{model};
  CallFilter wanted = selection("none", {"*!*"}).calls;
  ExecLogFilter filter;
  LoggedSpaces spaces{model, processes, wanted};
};

TEST(LoggedSpaces, KnowsWhoseAPageTableIs) {
  Spaces t;
  EXPECT_EQ(t.pid_at_root(), 0u);
  t.meet(in_root(10, kOld));
  EXPECT_EQ(t.pid_at_root(), 10u);
}

// The old process was killed, and is looked for once a second.
TEST(LoggedSpaces, APageTableThatIsUsedAgainIsTheNewProcesss) {
  Spaces t;
  t.meet(in_root(10, kOld));
  t.meet(in_root(20, kNew));
  EXPECT_EQ(t.pid_at_root(), 20u);
  t.processes.will_remap(in_root(10, kOld));
  t.spaces.sync(t.filter);
  EXPECT_EQ(t.pid_at_root(), 20u);
}

TEST(LoggedSpaces, ItStaysTheNewOnesWhenTheOldOneIsFoundGone) {
  Spaces t;
  t.meet(in_root(10, kOld));
  t.meet(in_root(20, kNew));
  EXPECT_TRUE(t.processes.forget(Va{kOld}, os::ProcessKey{10}));
  t.spaces.sync(t.filter);
  EXPECT_EQ(t.pid_at_root(), 20u);
  EXPECT_TRUE(t.processes.forget(Va{kNew}, os::ProcessKey{20}));
  t.spaces.sync(t.filter);
  EXPECT_EQ(t.pid_at_root(), 0u);
}

}  // namespace
}  // namespace swat::daemon
