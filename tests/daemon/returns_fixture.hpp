// What the tests of ReturnPairing share: calls of a few threads, and what they lead to.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "collector.hpp"
#include "daemon/return_pairing.hpp"

namespace swat::daemon {

inline Actor actor_of(std::uint64_t object, std::uint32_t tid, std::uint32_t pid = 0,
                      std::uint32_t parent = 1) {
  Actor actor;
  actor.thread.object = Va{object};
  actor.thread.tid = tid;
  actor.thread.process.pid = pid == 0 ? tid : pid;
  actor.thread.process.object = actor.thread.object;
  actor.thread.process.parent_pid = parent;
  actor.thread.process.parent = os::ProcessKey{parent};
  actor.scene.pid = actor.thread.process.pid;
  actor.scene.key = actor.thread.process.key = os::ProcessKey{actor.scene.pid};
  actor.scene.tid = tid;
  return actor;
}

// A guest of a few threads, and the return events that they have led to.
class Returns : public testing::Test {
 protected:
  Returns() { log_.add(std::make_unique<Collector>(events_)); }

  LoggedCall call(std::uint64_t sequence, std::string_view name,
                  os::SyscallEntry::Kind entry = os::SyscallEntry::Kind::kSyscall) {
    return {sequence, os::find_abi(entry), 7, name, Va{0x1002}};
  }
  void enter(const Actor& actor, std::uint64_t sequence, std::string_view name,
             os::SyscallEntry::Kind entry = os::SyscallEntry::Kind::kSyscall) {
    pairing.meet(actor);
    pairing.enter(call(sequence, name, entry), actor, start);
  }
  void leave(const Actor& actor, std::int64_t rax) {
    pairing.meet(actor);
    pairing.leave(actor, static_cast<std::uint64_t>(rax), start + std::chrono::milliseconds(5));
  }

  [[nodiscard]] std::size_t count() const { return events_.size(); }
  [[nodiscard]] const Event& at(std::size_t i) const { return events_.at(i); }
  [[nodiscard]] const ReturnEvent& end(std::size_t i) const {
    return std::get<ReturnEvent>(events_.at(i).what);
  }

  const ReturnPairing::Clock::time_point start{std::chrono::hours(1)};
  const Actor a = actor_of(0xa000, 10);
  const Actor b = actor_of(0xb000, 11);

 private:
  std::vector<Event> events_;
  EventLog log_;

 protected:
  ReturnPairing pairing{log_};
};

}  // namespace swat::daemon
