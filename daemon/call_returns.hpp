// Returns of functions (--returns=calls), and of system calls where a stub makes them (--returns on
// Windows): the watches that notice them, and whose they are.
//
// While a function runs, the word of the stack that its caller has pushed holds where it returns
// to, and `ret` reads it. A read watch there stops behind `ret`, with the result in its register:
// one stop a call, no flush. x86 only: elsewhere the return address is in a register. A system call
// is over when its stub's `ret` reads its word: that is user mode's code, the same under any
// kernel.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "daemon/call_pairing.hpp"
#include "daemon/event_log.hpp"
#include "daemon/planner.hpp"
#include "daemon/process_life.hpp"
#include "daemon/stack_watches.hpp"
#include "daemon/vm.hpp"

namespace swat::daemon {

// Whether this guest's system calls are made by stubs.
[[nodiscard]] bool returns_through_stubs(os::OsModel& model);

class CallReturns {
 public:
  // All outlive this. Off until begin(): then nothing here does anything.
  CallReturns(Vm& vm, os::OsModel& model, const ProcessLife& life, EventLog& log)
      : vm_(vm), model_(model), life_(life), log_(log), pairing_(log) {}

  // kUnsupported: this guest's stack does not tell, or QEMU cannot watch reads of it; of functions,
  // where that has not been measured. `page_fault_entry`: where the kernel begins to handle page
  // faults, if that is known.
  [[nodiscard]] Result<> begin(const Planner& planner, std::optional<Va> page_fault_entry,
                               bool of_functions);
  [[nodiscard]] bool is_on() const { return on_; }

  // `actor` has been met at a stop, of whatever kind.
  void meet(const Actor& actor);
  // What has to change in the stub before `actor`, whose call has been logged, runs on.
  [[nodiscard]] gdbproto::PointChanges enter(const LoggedFunction& call, const Actor& actor);
  // The same of a system call. Of one that no stub makes the return will not be seen.
  [[nodiscard]] gdbproto::PointChanges enter(const LoggedCall& call, const Actor& actor);
  // What else may change at a stop.
  [[nodiscard]] gdbproto::PointChanges tidy();
  // On several vCPUs, before any of them runs on: takes out at once what nobody needs any more, but
  // for `but` words that tidy() is to see to. The guest stands still.
  [[nodiscard]] Result<> take_out_idle(std::size_t but = 0);

  // Whether the watch that starts at `word` is one of these.
  [[nodiscard]] bool is_watched(Va word) const { return on_ && watches_.contains(word); }
  // Whether a return to that word asks for what the kernel has written, for which the guest has to
  // stand still.
  [[nodiscard]] bool reads_memory(Va word, const Actor& actor) const {
    return pairing_.tells_written(actor.thread, word);
  }
  // What a watched word of `actor` holds. The guest stands still.
  [[nodiscard]] std::optional<std::uint64_t> value(Va word, const Actor& actor);
  // Where `actor`, that a read of `word` has stopped, stands. By registers alone: the guest may be
  // running again.
  [[nodiscard]] std::optional<UserPlace> place_behind(Va word, const Actor& actor);
  // True: it has returned there, and that is logged.
  bool leave(const Actor& actor, const UserPlace& place);
  // It has not, but for another reason read `word`, which holds `value`, if that is known.
  void read(const Actor& actor, Va word, std::optional<std::uint64_t> value);

  // Several vCPUs: where one may stand just behind a return, reported or not. None: it does not.
  // The guest stands still.
  [[nodiscard]] std::optional<UserPlace> place_of_return(unsigned vcpu);

  // The same of a vCPU of whichever process: other processes may have stacks at the same addresses,
  // and then return in a word that is watched for somebody else.
  [[nodiscard]] bool may_have_popped(unsigned vcpu);

  // Tracing ends.
  void finish();
  // Takes the watches out of the stub. The guest stands still, and no vCPU at one of them.
  [[nodiscard]] Result<> disarm();

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] StackWatches::IsNeeded is_needed() const;
  [[nodiscard]] bool is_called_anew(const CallFrame& frame, const Actor& actor);
  // What its result is called, and what it has written. The guest stands still.
  void complete(const LoggedCall& call, const Actor& actor, ReturnEvent& event);

  Vm& vm_;
  os::OsModel& model_;
  const ProcessLife& life_;
  EventLog& log_;
  CallPairing pairing_;
  StackWatches watches_;
  std::optional<Va> page_fault_entry_;
  bool on_ = false;
  Clock::time_point next_reap_;
};

}  // namespace swat::daemon
