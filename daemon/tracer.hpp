// The event loop: a stop, what it means, on with the guest.
//
// Order matters for speed: who runs is read out of guest RAM while the guest stands still, then `g`
// and `c` go out in one write, and everything else happens while the guest runs on. Only what the
// running guest could change under us (new mappings, a caller's stack) is read before the resume.
//
// The parts, each of which can be read alone: Recorder (what is logged of a stop, and what follows
// from that), WatchStops (how vCPUs stop at watches, on each kind of processor), Stepper (how one
// is moved past an instruction), DistantEntries and SilentHits (stops that cost less).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "daemon/calibration.hpp"
#include "daemon/distant_entries.hpp"
#include "daemon/event_log.hpp"
#include "daemon/import_places.hpp"
#include "daemon/module_traps.hpp"
#include "daemon/planner.hpp"
#include "daemon/process_life.hpp"
#include "daemon/process_table.hpp"
#include "daemon/recorder.hpp"
#include "daemon/silent_hits.hpp"
#include "daemon/stepper.hpp"
#include "daemon/trace_options.hpp"
#include "daemon/trap_set.hpp"
#include "daemon/vm.hpp"
#include "daemon/watch_stops.hpp"

namespace swat::daemon {

class Tracer {
 public:
  // All outlive this. The guest is stopped.
  Tracer(Vm& vm, os::OsModel& model, gdbproto::IoLoop& loop, EventLog& log, Planner planner,
         TraceOptions options);
  Tracer(const Tracer&) = delete;  // its parts know each other
  Tracer& operator=(const Tracer&) = delete;

  // Lists what is there, arms the traps, runs the guest and logs until told to stop, or to reload
  // (then nothing that was hit is left unlogged, and no trap in the stub, so that another Tracer
  // can go on from here). Leaves the guest stopped, for Vm::release. kDisconnected: QEMU has gone.
  [[nodiscard]] Result<> run();

  // Stops that were no event: other accesses to a watched word, and what was not selected.
  [[nodiscard]] std::uint64_t idle_stops() const { return recorder_.idle_stops(); }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] Result<> arm();
  [[nodiscard]] Result<std::vector<EntryPlan>> arm_entries();
  [[nodiscard]] std::unique_ptr<WatchStops> make_watch_stops();
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
  [[nodiscard]] Result<NextStop> on_breakpoint(unsigned vcpu);
  [[nodiscard]] Result<> on_own_stop();
  [[nodiscard]] Result<> on_foreign_stop();

  Vm& vm_;
  os::OsModel& model_;
  gdbproto::IoLoop& loop_;
  EventLog& log_;
  Planner planner_;
  TraceOptions options_;
  std::optional<Va> page_fault_entry_;
  ProcessTable processes_;
  TrapSet traps_;
  ModuleTraps module_traps_;
  ProcessLife life_;
  Calibration calibration_;
  Recorder recorder_;
  Stepper stepper_;
  ImportPlaces imports_;
  DistantEntries distant_;
  SilentHits silent_;
  std::unique_ptr<WatchStops> watches_;
  bool interrupted_ = false;  // the next stop is one of our own
  Clock::time_point end_;
};

}  // namespace swat::daemon
