// What a vCPU at a function's first instruction, or just behind the read of an import slot, says.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "daemon/call_resolver.hpp"
#include "daemon/process_life.hpp"
#include "daemon/selection.hpp"
#include "daemon/trap.hpp"
#include "daemon/trap_set.hpp"
#include "daemon/vm.hpp"
#include "osmodels/emulation.hpp"

namespace swat::daemon {

class CallLog {
 public:
  // All outlive this.
  CallLog(Vm& vm, os::OsModel& model, ProcessTable& processes, TrapSet& traps, EventLog& log,
          CallFilter wanted)
      : vm_(vm),
        model_(model),
        processes_(processes),
        traps_(traps),
        log_(log),
        wanted_(std::move(wanted)) {}

  // The call that led to a read in the span watched from `watch` on, if it was one. The guest
  // stands still.
  [[nodiscard]] std::optional<Call> import_at(unsigned vcpu, Va watch, const os::Thread& thread);
  // The call that a vCPU which stands before a read of a slot is about to make, if it is one. The
  // guest stands still.
  [[nodiscard]] std::optional<Call> import_of(const os::SlotRead& read, const os::Thread& thread);
  // Every call that may have brought the vCPU where it stands, whatever watch is named: one a span.
  struct Candidate {
    Va watch;
    Call call;
    bool certain;  // the very instruction that called goes through a slot of the span
  };
  [[nodiscard]] std::vector<Candidate> imports_at(unsigned vcpu, const os::Thread& thread);
  // None when it is not one that was selected, or a breakpoint on the callee reports it itself.
  std::optional<LoggedFunction> import(Call call, const Actor& actor);
  // The breakpoint of `what` has been hit at `pc`. None: it is of nobody that was selected.
  std::optional<LoggedFunction> function(const FunctionTrap& what, Va pc, const Actor& actor);
  // The instruction at `pc`, whose call has been logged, was not executed: its page was absent. The
  // thread will be back there, and that is no second call.
  void will_be_back(const os::Thread& thread, Va pc, Va sp) { faulted_[thread.object] = {pc, sp}; }

 private:
  struct Place {
    Va pc;
    Va sp;
    friend bool operator==(const Place&, const Place&) = default;
  };
  // False: it is the second time, and no call.
  [[nodiscard]] bool is_first_time(Va thread, const Place& place);

  Vm& vm_;
  os::OsModel& model_;
  ProcessTable& processes_;
  TrapSet& traps_;
  EventLog& log_;
  CallFilter wanted_;
  std::unordered_map<Va, Place> faulted_;  // by the object of the thread
};

}  // namespace swat::daemon
