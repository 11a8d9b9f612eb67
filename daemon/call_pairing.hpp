// Which return belongs to which call of a function, or of the kernel through a stub: by its thread,
// and by the word of the stack that holds its return address.
//
// A call is over when its thread stands at the return address and that word has been popped. Calls
// that were made by a jump (tail calls) share the word with the one before them, and return with
// it. One that longjmp or an exception has left is noticed later: when its thread calls, or returns
// to, something further up the same stack.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <variant>
#include <vector>

#include "daemon/event_log.hpp"
#include "daemon/logged_call.hpp"
#include "daemon/logged_function.hpp"
#include "daemon/process_life.hpp"
#include "daemon/user_place.hpp"

namespace swat::daemon {

class CallPairing {
 public:
  using Clock = std::chrono::steady_clock;
  // QEMU walks a list at each read of a watched page, and what is called is on the stack's pages:
  // with more calls open than this the oldest is given up.
  static constexpr std::size_t kMost = 256;
  // A word that is read so often without a return is somebody's variable: in the child of a fork,
  // or in a frame that has taken the place of one that was left.
  static constexpr unsigned kMostReads = 64;
  // A system call may wait long, and so long other processes read what they have at that address
  // (a main stack is often where another's is). Each time the guest stops.
  static constexpr unsigned kMostReadsByOthers = 4096;

  // `log` outlives this and gets the return events.
  explicit CallPairing(EventLog& log) : log_(log) {}

  // `actor` makes an event of any kind: its thread may be another one than had this object before,
  // or run another program.
  void meet(const os::Thread& thread);
  // The call has been logged and has a frame. `is_anew`: the caller's own instruction has called
  // it; else it may be a tail call.
  void enter(const LoggedFunction& call, bool is_anew, const Actor& actor, Clock::time_point now);
  // The same of a system call, whose stub may share its word with the function that it is.
  void enter(const LoggedCall& call, const Actor& actor, Clock::time_point now);
  // Some call of the thread, which has to tell whether the next is a tail call.
  [[nodiscard]] bool waits_in(const os::Thread& thread, const CallFrame& frame) const;

  // Whether some thread, or this one, that stands at `place` has just returned.
  [[nodiscard]] bool may_have_returned(const UserPlace& place) const;
  [[nodiscard]] bool has_returned(const os::Thread& thread, const UserPlace& place) const;
  // `complete` adds to the event of a system call what only its result tells.
  using Complete = std::function<void(const LoggedCall& call, ReturnEvent& event)>;
  void leave(const Actor& actor, const UserPlace& place, std::uint64_t result,
             Clock::time_point now, const Complete& complete = {});
  // `slot` was read by `actor`, who has not returned; `word`: what it holds, if that is known.
  void read(const Actor& actor, Va slot, std::optional<std::uint64_t> word);

  // The threads of processes that are no more have ended, in whatever calls they were.
  void reap(const std::function<bool(os::ProcessKey)>& is_alive);
  // Tracing ends.
  void finish();

  // Some call waits for its return address in this word.
  [[nodiscard]] bool needs(Va slot, std::uint64_t word_bytes) const;
  // One that does, of the thread; null: none.
  [[nodiscard]] const CallFrame* frame_at(const os::Thread& thread, Va slot) const;
  // The thread waits in that word for a system call of which is known what it writes.
  [[nodiscard]] bool tells_written(const os::Thread& thread, Va slot) const;
  [[nodiscard]] std::size_t size() const { return open_.size(); }
  [[nodiscard]] std::uint64_t unwound() const { return unwound_; }
  [[nodiscard]] std::uint64_t missed() const { return missed_; }

 private:
  struct Open {
    std::variant<LoggedFunction, LoggedCall> call;
    CallFrame frame;
    EventLog::Scene scene;
    Va thread;  // the kernel's object of it
    Va memory;  // and of its address space
    Clock::time_point since;
    unsigned reads = 0;  // of the slot, that were no return
    unsigned reads_by_others = 0;
  };
  using Outcome = CallReturnEvent::Outcome;

  [[nodiscard]] const Open* innermost(const os::Thread& thread, const UserPlace& place) const;
  // Ends the calls that `is_over`, the latest first.
  void close_if(const std::function<bool(const Open&)>& is_over, Outcome outcome);
  void close_left_below(const os::Thread& thread, const CallFrame& frame);
  void close(const Open& open, Outcome outcome);
  void make_room();
  void write_return(const Open& open, const Actor& actor, std::uint64_t result,
                    Clock::time_point now, const Complete& complete);

  EventLog& log_;
  std::vector<Open> open_;  // the oldest first
  std::uint64_t unwound_ = 0;
  std::uint64_t missed_ = 0;
};

}  // namespace swat::daemon
