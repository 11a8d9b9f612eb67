// The event loop: a stop, what it means, on with the guest.
//
// Order matters for speed: who runs is read out of guest RAM while the guest stands still, then `g`
// and `c` go out in one write, and everything else happens while the guest runs on. Only what the
// running guest could change under us (new mappings, a caller's stack) is read before the resume.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "daemon/access_stepper.hpp"
#include "daemon/calibration.hpp"
#include "daemon/distant_entries.hpp"
#include "daemon/event_log.hpp"
#include "daemon/module_traps.hpp"
#include "daemon/planner.hpp"
#include "daemon/process_life.hpp"
#include "daemon/process_table.hpp"
#include "daemon/recorder.hpp"
#include "daemon/selection.hpp"
#include "daemon/silent_hits.hpp"
#include "daemon/stepper.hpp"
#include "daemon/trace_options.hpp"
#include "daemon/trap_set.hpp"
#include "daemon/vm.hpp"
#include "osmodels/emulation.hpp"

namespace swat::daemon {

class Tracer {
 public:
  // All outlive this. The guest is stopped.
  Tracer(Vm& vm, os::OsModel& model, gdbproto::IoLoop& loop, EventLog& log, Planner planner,
         TraceOptions options);

  // Lists what is there, arms the traps, runs the guest and logs until told to stop, or to reload
  // (then nothing that was hit is left unlogged, and no trap in the stub, so that another Tracer
  // can go on from here). Leaves the guest stopped, for Vm::release. kDisconnected: QEMU has gone.
  [[nodiscard]] Result<> run();

  // Stops that were no event: other accesses to a watched word, and what was not selected.
  [[nodiscard]] std::uint64_t idle_stops() const { return recorder_.idle_stops(); }

 private:
  using Clock = std::chrono::steady_clock;

  // What has stopped the guest.
  struct StopCause {
    std::optional<unsigned> vcpu;  // has met a trap; nullopt: none, QEMU was told to stop
    bool is_own = false;           // by us
  };

  [[nodiscard]] bool is_smp() const { return vm_.session().threads().size() > 1; }
  [[nodiscard]] Result<> arm();
  [[nodiscard]] Result<std::vector<EntryPlan>> arm_entries();
  [[nodiscard]] Result<> loop_until_done();
  [[nodiscard]] bool is_done() const;
  // Stopped, with everything looked after, for whoever asked to reload.
  [[nodiscard]] bool is_parked() const;
  [[nodiscard]] Result<> disarm();
  [[nodiscard]] Result<> stop_guest();
  [[nodiscard]] Result<> wait_for_stop();

  [[nodiscard]] Result<> request_own_stop();
  // Lets the execution log go on, or stops the guest for it.
  [[nodiscard]] Result<> on_no_stop();
  [[nodiscard]] Result<> handle(const gdbproto::StopReply& stop);
  [[nodiscard]] Result<NextStop> dispatch(const gdbproto::StopReply& stop, bool is_own);
  [[nodiscard]] Result<StopCause> cause_of(const gdbproto::StopReply& stop, bool is_own);
  [[nodiscard]] Result<NextStop> on_watch(unsigned vcpu, Va watch);
  [[nodiscard]] Result<> on_watch_of_one(unsigned vcpu, Va watch, const Actor& actor);
  [[nodiscard]] Result<> on_entry_watch(unsigned vcpu, const std::vector<const Trap*>& traps,
                                        const Actor& actor);
  [[nodiscard]] Result<> on_dispatch_watch(unsigned vcpu, const DispatchTrap& trap,
                                           const Actor& actor);
  [[nodiscard]] Result<> on_import_watch(unsigned vcpu, Va watch, const Actor& actor);
  [[nodiscard]] Result<> on_return_watch(unsigned vcpu, const ReturnLog::Watched& watched,
                                         const Actor& actor);  // tracer_returns.cpp
  // A word of a stack has been read, which may be a function's return (tracer_returns.cpp).
  [[nodiscard]] Result<> on_stack_watch(unsigned vcpu, Va word, const Actor& actor);
  [[nodiscard]] Result<NextStop> on_breakpoint(unsigned vcpu);
  [[nodiscard]] Result<> on_own_stop();
  [[nodiscard]] Result<> on_foreign_stop();
  // On SMP: logs what other vCPUs have hit at the moment of this stop, which QEMU reports to
  // nobody, and clears it in QEMU (tracer_smp.cpp).
  [[nodiscard]] Result<NextStop> on_watch_of_several(unsigned vcpu, Va watch, const Actor& actor);
  [[nodiscard]] Result<> settle(const StopCause& cause);
  // `reported`: the vCPU that the stop is of; nullopt: none, QEMU was told to stop.
  [[nodiscard]] Result<> settle_others(std::optional<unsigned> reported);
  [[nodiscard]] Result<> settle_only();
  [[nodiscard]] Result<> settle_entry(unsigned vcpu, const EntryTrap& entry);
  [[nodiscard]] Result<> settle_dispatch(unsigned vcpu, const os::DispatchedSyscall& call);
  // True: the vCPU stands just behind a read of its thread's result; if it was a return, it is
  // logged.
  [[nodiscard]] Result<bool> settle_return(unsigned vcpu);  // tracer_returns.cpp
  [[nodiscard]] Result<> settle_import(unsigned vcpu, const Actor& actor);
  // A slot has been read, perhaps, and not for a call.
  [[nodiscard]] Result<> settle_load(unsigned vcpu);
  // A step may have been a function's return.
  [[nodiscard]] Result<> settle_end_of_call(unsigned vcpu, const Actor& actor);
  // True: a function has just returned on the vCPU; it is logged, and the vCPU moved on.
  [[nodiscard]] Result<bool> settle_call_return(unsigned vcpu);  // tracer_returns.cpp
  // Watches that nobody needs any more go before any vCPU runs on (CallReturns::take_out_idle).
  [[nodiscard]] Result<> resume_without_idle();
  [[nodiscard]] Result<> await_call_return(const gdbproto::PointChanges& changes);
  // That the vCPU's last instruction was, if it can be told.
  [[nodiscard]] Result<> log_certain_call(unsigned vcpu, const Actor& actor);
  [[nodiscard]] bool may_have_called(unsigned vcpu);
  [[nodiscard]] bool may_have_loaded_slot(unsigned vcpu);

  // Where vCPUs stop before the access that is watched (tracer_before.cpp).
  [[nodiscard]] Result<> on_watch_before(unsigned vcpu, Va watch);
  // Logs what other vCPUs are about to read of what is watched, and moves them past it.
  [[nodiscard]] Result<> settle_before(std::optional<unsigned> reported);
  [[nodiscard]] Result<bool> settle_one_before(unsigned vcpu);
  // What the vCPU stands before a watched read of, as far as is known: of the kernel's table, or of
  // import slots by a thread in user mode.
  [[nodiscard]] std::optional<os::DispatchedSyscall> awaited_syscall(unsigned vcpu);
  // The watched read of an entry that the vCPU stands before; null: it does not.
  [[nodiscard]] const EntryTrap* awaited_entry(unsigned vcpu);
  [[nodiscard]] std::optional<os::SlotRead> awaited_slot(unsigned vcpu, const os::Thread& thread);
  // The watched result that the vCPU is about to read, on its way back to user mode or not.
  [[nodiscard]] std::optional<ReturnLog::Watched> awaited_result(unsigned vcpu);
  void before_result(unsigned vcpu, const ReturnLog::Watched& watched, const Actor& actor);
  // The syscall whose slot of the kernel's table the vCPU has just read, if that slot is watched.
  [[nodiscard]] std::optional<os::DispatchedSyscall> dispatch_at(unsigned vcpu, bool or_late);

  [[nodiscard]] Va pc_of(unsigned vcpu) { return vm_.guest().pc(vcpu); }

  Vm& vm_;
  os::OsModel& model_;
  gdbproto::IoLoop& loop_;
  EventLog& log_;
  Planner planner_;
  TraceOptions options_;
  ProcessTable processes_;
  TrapSet traps_;
  ModuleTraps module_traps_;
  ProcessLife life_;
  Calibration calibration_;
  Recorder recorder_;
  Stepper stepper_;
  AccessStepper access_stepper_;
  DistantEntries distant_;
  SilentHits silent_;
  std::optional<Va> page_fault_entry_;
  bool interrupted_ = false;  // the next stop is one of our own
  Clock::time_point end_;
};

}  // namespace swat::daemon
