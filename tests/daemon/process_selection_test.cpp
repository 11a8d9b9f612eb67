#include "daemon/process_selection.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"

namespace swat::daemon {
namespace {

os::Process process(std::uint32_t pid, std::uint32_t parent, std::string name) {
  os::Process p;
  p.pid = pid;
  p.key = os::ProcessKey{pid};
  p.parent = os::ProcessKey{parent};
  p.parent_pid = parent;
  p.name = std::move(name);
  return p;
}

// init (1), a shell (10) and what the shell runs (20) are there when tracing begins.
struct Guest {
  explicit Guest(std::vector<std::string> who, bool follow = false)
      : selection(*ProcessFilter::parse(who, follow), model) {
    model.alive = {process(1, 0, "init"), process(10, 1, "sh"), process(20, 10, "make")};
    selection.begin(model.alive);
  }
  void fork(std::uint32_t parent, std::uint32_t pid, const std::string& name) {
    model.alive.push_back(process(pid, parent, name));
  }
  os::Process& get(std::uint32_t pid) {
    return *std::ranges::find(model.alive, pid, &os::Process::pid);
  }
  // The kernel: children of a process that is gone are init's.
  void exit(std::uint32_t pid) {
    selection.will_exit(get(pid));
    selection.gone(os::ProcessKey{pid});
    std::erase_if(model.alive, [&](const os::Process& p) { return p.pid == pid; });
    for (os::Process& p : model.alive) {
      if (p.parent_pid != pid) continue;
      p.parent_pid = 1;
      p.parent = os::ProcessKey{1};
    }
  }
  // An event of the process's first thread.
  bool wants(std::uint32_t pid) { return selection.wants(os::Thread{Va{}, pid, get(pid)}); }

  FakeModel model;
  ProcessSelection selection;
};

TEST(ProcessSelection, WantsEverybodyUnlessTold) {
  Guest guest({});
  EXPECT_TRUE(guest.wants(1));
  EXPECT_TRUE(guest.selection.wants(os::Thread{}));  // nobody knows who
}

TEST(ProcessSelection, WantsTheNumberAskedFor) {
  Guest guest({"10"});
  EXPECT_TRUE(guest.wants(10));
  EXPECT_FALSE(guest.wants(1));
  EXPECT_FALSE(guest.wants(20));
  EXPECT_FALSE(guest.selection.wants(os::Thread{}));
}

TEST(ProcessSelection, WantsAProcessWhileItHasTheName) {
  Guest guest({"make"});
  EXPECT_TRUE(guest.wants(20));
  guest.get(20).name = "cc1";
  EXPECT_FALSE(guest.wants(20));
  guest.get(10).name = "make";
  EXPECT_TRUE(guest.wants(10));
}

TEST(ProcessSelection, MatchesTheWholeName) {
  Guest guest({"mak"});
  EXPECT_FALSE(guest.wants(20));
}

TEST(ProcessSelection, GoesByTheNameOfTheFirstThread) {
  Guest guest({"make"});
  os::Thread worker{Va{}, 21, guest.get(20)};
  worker.process.name = "worker";
  EXPECT_TRUE(guest.selection.wants(worker));
  os::Thread liar{Va{}, 11, guest.get(10)};
  liar.process.name = "make";
  EXPECT_FALSE(guest.selection.wants(liar));
}

TEST(ProcessSelection, LeavesChildrenOutUnlessTold) {
  Guest guest({"10"});
  guest.fork(10, 30, "sh");
  EXPECT_FALSE(guest.wants(30));
}

TEST(ProcessSelection, FollowsWhatIsForkedFromNowOn) {
  Guest guest({"10"}, true);
  EXPECT_FALSE(guest.wants(20));  // was there before
  guest.fork(10, 30, "sh");
  EXPECT_TRUE(guest.wants(30));
  guest.get(30).name = "ls";
  EXPECT_TRUE(guest.wants(30));
  guest.fork(30, 31, "ls");
  EXPECT_TRUE(guest.wants(31));
  guest.fork(1, 40, "getty");
  EXPECT_FALSE(guest.wants(40));
}

TEST(ProcessSelection, FollowsByName) {
  Guest guest({"make"}, true);
  guest.get(10).name = "make";  // by an execve: no event of it since
  guest.fork(10, 30, "make");
  guest.get(30).name = "cc1";
  EXPECT_TRUE(guest.wants(30));
}

TEST(ProcessSelection, FollowsAGrandchildWhoseParentMadeNoEvent) {
  Guest guest({"10"}, true);
  guest.fork(10, 30, "sh");
  guest.fork(30, 31, "sh");
  EXPECT_TRUE(guest.wants(31));
  EXPECT_TRUE(guest.wants(30));
}

TEST(ProcessSelection, FollowsAChildWhoseParentHasExited) {
  Guest guest({"10"}, true);
  guest.fork(10, 30, "daemon");
  guest.fork(30, 31, "daemon");
  EXPECT_TRUE(guest.wants(30));
  guest.exit(30);
  EXPECT_EQ(guest.get(31).parent_pid, 1u);
  EXPECT_TRUE(guest.wants(31));
}

TEST(ProcessSelection, StaysWithAChildThatIsInits) {
  Guest guest({"10"}, true);
  guest.fork(10, 30, "daemon");
  EXPECT_TRUE(guest.wants(30));
  guest.exit(10);
  EXPECT_TRUE(guest.wants(30));
}

TEST(ProcessSelection, ForgetsWhoeverIsGone) {
  Guest guest({"10"}, true);
  guest.fork(10, 30, "sh");
  ASSERT_TRUE(guest.wants(30));
  guest.exit(30);
  guest.fork(1, 30, "getty");  // the number is used again
  EXPECT_FALSE(guest.wants(30));
}

// Hostile: parents in a circle.
TEST(ProcessSelection, EndsWhereParentsDoNot) {
  Guest guest({"10"}, true);
  guest.fork(31, 30, "a");
  guest.fork(30, 31, "b");
  EXPECT_FALSE(guest.wants(30));
  EXPECT_FALSE(guest.wants(31));
}

}  // namespace
}  // namespace swat::daemon
