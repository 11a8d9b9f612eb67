// Which return belongs to which call: by thread, never by guess.
//
// A thread that is in a call cannot make another; its next way back to user mode ends the call,
// whatever has happened in between. What a thread is: the kernel's object of it together with its
// number, for either alone is used again after its death. (Only execve changes the number: the
// thread that calls it becomes its process's first.)
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "daemon/event_log.hpp"
#include "daemon/logged_call.hpp"
#include "daemon/process_life.hpp"

namespace swat::daemon {

class ReturnPairing {
 public:
  using Clock = std::chrono::steady_clock;

  // `log` outlives this and gets the return events.
  explicit ReturnPairing(EventLog& log) : log_(log) {}

  // What is there when tracing begins: none of these is the child of a fork that is yet to return.
  void begin(std::span<const os::Process> processes);
  // `actor` makes an event of any kind. Of a new thread the first one tells that the fork of its
  // parent has returned in it.
  void meet(const Actor& actor);
  // The call has been logged. That exit does not return is said at once.
  void enter(const LoggedCall& call, const Actor& actor, Clock::time_point now);
  [[nodiscard]] bool is_in_call(const os::Thread& thread) const;
  // The kernel itself has read the result, in the thread's own context, before user mode is
  // reached: a signal meets the call, and will overwrite what a tracer would see.
  void peeked(const os::Thread& thread, std::uint64_t word);
  // The thread is about to run in user mode, with `rax` in the result register; at `user_pc`, where
  // that is known: behind the call no signal has overwritten it, whatever was peeked.
  void leave(const Actor& actor, std::uint64_t rax, Clock::time_point now,
             std::optional<Va> user_pc = {});
  // Its call ends without a result that user mode sees, by where user mode will go on: at the call
  // once more, or in a signal's handler. Only where the call told (LoggedCall::next_pc), and when
  // no result has been peeked.
  [[nodiscard]] bool is_interrupted(const os::Thread& thread, Va user_pc) const;
  void interrupt(const Actor& actor, Clock::time_point now);
  // The return of the thread's call will not be seen.
  void miss(const os::Thread& thread);
  // The threads of processes that are no more have died, in whatever call they were.
  void reap(const std::function<bool(os::ProcessKey)>& is_alive);
  // Tracing ends.
  void finish();

 private:
  struct Open {
    LoggedCall call;
    EventLog::Scene scene;
    Clock::time_point since;
    std::optional<std::uint64_t> peeked;
    bool has_returned_in_child = false;
  };
  using OpenCalls = std::unordered_map<Va, Open>;  // by the kernel's object of the thread

  [[nodiscard]] OpenCalls::iterator find(const os::Thread& thread);
  void write_result(const Open& open, const Actor& actor, Clock::time_point now,
                    std::int64_t result);
  // The thread makes another call, and this one's end has not been seen.
  void close_before(OpenCalls::iterator at, const Actor& actor, Clock::time_point now);
  void write_end(const Open& open, const Actor& actor, Clock::time_point now, ReturnEvent event);
  void close(OpenCalls::iterator at, ReturnEvent::Outcome outcome);
  void close_others(os::ProcessKey process, Va survivor);
  [[nodiscard]] std::vector<Open*> open_forks_of(const os::Thread& child);
  void returned_twice(const Open& open, std::int64_t child_tid);
  void write_in_child(const LoggedCall& call, const EventLog::Scene& child);

  EventLog& log_;
  OpenCalls open_;
  std::unordered_map<Va, std::uint32_t> known_;  // threads that were met, and their numbers
  // Births that were half seen: forks that have returned a child which has not been met yet, and
  // children of which nobody can tell yet by which of several forks they came.
  std::unordered_map<std::uint32_t, LoggedCall> unmet_;
  std::unordered_map<std::uint32_t, EventLog::Scene> unclaimed_;
};

}  // namespace swat::daemon
