// What is met at a stop: who runs there, what of it is logged, and what follows from that.
//
// The log of syscalls, that of calls and those of their returns each know one kind of event. Here
// they meet: a syscall that is logged has a return to be waited for, and tells the proof of the
// traps that it was noticed; whoever is met may have ended somebody else's call.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "daemon/calibration.hpp"
#include "daemon/call_log.hpp"
#include "daemon/call_returns.hpp"
#include "daemon/exec_log.hpp"
#include "daemon/return_log.hpp"
#include "daemon/syscall_log.hpp"
#include "daemon/trace_options.hpp"

namespace swat::daemon {

class Recorder {
 public:
  // What it works with; all of it outlives this.
  struct Context {
    Vm& vm;
    os::OsModel& model;
    ProcessTable& processes;
    TrapSet& traps;
    ProcessLife& life;
    Calibration& calibration;
    EventLog& log;
    const TraceOptions& options;
  };
  explicit Recorder(const Context& with);

  // Sets the traps of returns, and starts the execution log, where they have been asked for. The
  // guest is stopped.
  [[nodiscard]] Result<> begin(const Planner& planner, std::optional<Va> page_fault_entry);
  // Tracing ends: what is open is told.
  void finish();
  // The watches on returns go out of the stub. The guest stands still, and no vCPU at one of them.
  [[nodiscard]] Result<> disarm();

  // Who runs on the vCPU. Points that nobody needs any more go out of the stub.
  [[nodiscard]] Result<Actor> meet(unsigned vcpu);
  [[nodiscard]] Result<> meet_all();
  // Only whom nobody has met yet. A child of fork has its parent's import slots, at watched
  // addresses: what it calls can only be told once its modules are known.
  [[nodiscard]] Result<> meet_stranger(unsigned vcpu);

  // Whether the entry of a syscall asks nothing more of the guest, so that it may run on with the
  // changes of returns().at_entry() before the syscall is logged.
  [[nodiscard]] bool may_run_from_entry(const os::SyscallAbi& abi) const;
  // What the execution log tells of until this stop goes before the stop's own event.
  void log_calls();
  // QEMU is going to be waited for, and may wait for somebody to read its execution log.
  void let_flow();
  // The syscall that `actor` makes. Its return is waited for, where that was asked for.
  [[nodiscard]] Result<> syscall(const EntryTrap& entry, const Actor& actor);
  [[nodiscard]] Result<> syscall(const os::DispatchedSyscall& call, const Actor& actor);
  // The call, if it is one that is wanted; what has to change before `actor` runs on.
  [[nodiscard]] gdbproto::PointChanges import(std::optional<Call> call, const Actor& actor);
  // A breakpoint has been hit that means `hits`: what it proves, and what is to be logged of it.
  [[nodiscard]] Result<> breakpoint(std::vector<Trap> hits, Va pc, const Actor& actor);

  // A stop that was no event: another access to a watched word, or something not selected.
  void count_idle() { ++idle_stops_; }
  [[nodiscard]] std::uint64_t idle_stops() const { return idle_stops_; }
  // The guest runs on from such a stop.
  [[nodiscard]] Result<> pass_over();

  [[nodiscard]] CallLog& calls() { return calls_; }
  [[nodiscard]] ReturnLog& returns() { return returns_; }
  [[nodiscard]] CallReturns& call_returns() { return call_returns_; }
  // Null: calls are seen in other ways.
  [[nodiscard]] ExecLog* exec_log() { return exec_log_.get(); }

 private:
  [[nodiscard]] Result<> start_exec_log();
  // These are false when it is no event: not selected, or, at a breakpoint, not what has been hit.
  [[nodiscard]] Result<bool> log_syscall(const EntryTrap& entry, const Actor& actor);
  [[nodiscard]] Result<bool> log_syscall(const os::DispatchedSyscall& call, const Actor& actor);
  [[nodiscard]] Result<bool> log_breakpoint(const Trap& trap, Va pc, const Actor& actor);
  // Sees to the return of what SyscallLog::enter() has given.
  [[nodiscard]] Result<bool> await_return(const std::optional<LoggedCall>& logged,
                                          const Actor& actor);
  [[nodiscard]] gdbproto::PointChanges await_return(const LoggedFunction& logged,
                                                    const Actor& actor);
  // What `hits` prove; they may be others after it.
  [[nodiscard]] Result<> prove(std::vector<Trap>& hits, Va pc, const Actor& actor);
  // Of the syscall that the kernel is entered for: its low half, the same for all callers.
  [[nodiscard]] std::uint32_t number_of(const Actor& actor, const os::SyscallAbi& abi) {
    return static_cast<std::uint32_t>(syscalls_.number(actor, abi));
  }

  Context with_;
  SyscallLog syscalls_;
  CallLog calls_;
  ReturnLog returns_;
  CallReturns call_returns_;
  std::unique_ptr<ExecLog> exec_log_;
  bool by_stubs_ = false;  // returns of system calls are those of stubs
  std::uint64_t idle_stops_ = 0;
};

}  // namespace swat::daemon
