// The event loop: a stop, what it means, on with the guest.
//
// Order matters for speed: who runs is read out of guest RAM while the guest stands still, then `g`
// and `c` go out in one write, and everything else happens while the guest runs on. Only what the
// running guest could change under us (new mappings, a caller's stack) is read before the resume.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/call_resolver.hpp"
#include "daemon/event_log.hpp"
#include "daemon/module_traps.hpp"
#include "daemon/planner.hpp"
#include "daemon/process_table.hpp"
#include "daemon/trap_set.hpp"
#include "daemon/vm.hpp"

namespace swat::daemon {

struct TraceOptions {
  std::optional<std::chrono::milliseconds> duration;
  std::optional<std::uint64_t> max_events;
  std::vector<FunctionPattern> functions;
};

class Tracer {
 public:
  // All outlive this. The guest is stopped.
  Tracer(Vm& vm, os::OsModel& model, gdbproto::IoLoop& loop, EventLog& log, Planner planner,
         TraceOptions options);

  // Lists what is there, arms the traps, runs the guest and logs until told to stop. Leaves the
  // guest stopped, for Vm::release. kDisconnected: QEMU has gone.
  [[nodiscard]] Result<> run();

  [[nodiscard]] bool is_smp() const { return vm_.session().threads().size() > 1; }

  // Stops that were no event: other accesses to a watched word.
  [[nodiscard]] std::uint64_t idle_stops() const { return idle_stops_; }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] Result<> arm();
  [[nodiscard]] Result<> loop_until_done();
  [[nodiscard]] bool is_done() const;
  [[nodiscard]] Result<> handle(const gdbproto::StopReply& stop);
  [[nodiscard]] Result<> on_watch(unsigned vcpu, Va watch);
  [[nodiscard]] Result<> on_entry_watch(unsigned vcpu, const std::vector<const Trap*>& traps,
                                        const os::Thread& thread);
  [[nodiscard]] Result<> on_import_watch(unsigned vcpu, Va watch, const os::Thread& thread);
  [[nodiscard]] Result<> on_breakpoint(unsigned vcpu);
  // On SMP: logs what other vCPUs have hit at the moment of this stop, which QEMU reports to
  // nobody, and clears it in QEMU (tracer_smp.cpp).
  [[nodiscard]] Result<> settle_others(unsigned stopped);
  [[nodiscard]] Result<> settle_entry(unsigned vcpu, const EntryTrap& entry);
  [[nodiscard]] Result<> settle_import(unsigned vcpu, const os::Thread& thread);
  [[nodiscard]] Result<gdbproto::StopReply> step(unsigned vcpu);
  [[nodiscard]] const EntryTrap* entry_at(unsigned vcpu, Va pc) const;

  [[nodiscard]] std::optional<Call> call_at(unsigned vcpu, Va watch, const os::Thread& thread);
  // Resumes behind the instruction at `pc`, emulated or stepped.
  [[nodiscard]] Result<> step_over(unsigned vcpu, Va pc, bool in_kernel, const os::Thread& thread);
  [[nodiscard]] Result<> on_foreign_stop();
  [[nodiscard]] Result<> stop_guest();

  // Who runs on the vCPU; reads anew what it has mapped, where that may have changed.
  [[nodiscard]] Result<os::Thread> meet(unsigned vcpu);
  [[nodiscard]] Result<> reap();
  void log_syscall(unsigned vcpu, const EntryTrap& entry, const os::Thread& thread);
  [[nodiscard]] bool may_move_modules(os::linux_os::Effect effect,
                                      const os::linux_os::SyscallAbi& abi, const SyscallEvent& call,
                                      const os::Thread& thread);
  [[nodiscard]] std::optional<std::uint64_t> argument(unsigned vcpu, const os::linux_os::ArgAt& at,
                                                      const os::Thread& thread, std::uint64_t mask);
  void log_import(unsigned vcpu, std::optional<Call> call, const os::Thread& thread);
  void log_call(unsigned vcpu, const FunctionTrap& what, Va pc, const os::Thread& thread);
  void start_process(const os::Thread& thread, const EventLog::Scene& scene);
  void end_process(std::uint32_t pid, const EventLog::Scene& scene);
  [[nodiscard]] EventLog::Scene scene_of(unsigned vcpu, const os::Thread& thread) const;
  [[nodiscard]] std::uint64_t reg(unsigned vcpu, std::string_view name);

  Vm& vm_;
  os::OsModel& model_;
  gdbproto::IoLoop& loop_;
  EventLog& log_;
  Planner planner_;
  TraceOptions options_;
  ProcessTable processes_;
  TrapSet traps_;
  ModuleTraps module_traps_;
  std::unordered_map<std::uint32_t, os::Process> alive_;  // processes that were announced
  Clock::time_point end_;
  Clock::time_point next_reap_;
  // A call that was logged, and whose first instruction faulted: it is met once more.
  struct FaultedCall {
    Va pc;
    Va sp;
    friend bool operator==(const FaultedCall&, const FaultedCall&) = default;
  };
  std::unordered_map<std::uint32_t, FaultedCall> faulted_calls_;  // by thread
  std::vector<EntryTrap> entries_;
  std::optional<std::uint64_t> guest_time_;  // of the stop being handled
  std::uint64_t idle_stops_ = 0;
  bool tracing_ = false;  // false while arming: what is there already is not announced
};

}  // namespace swat::daemon
