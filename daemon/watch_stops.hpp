// How vCPUs stop at watches, and what is to be done about it. QEMU stops them behind the access on
// x86 and before it on ARM and AArch64, and names one vCPU a stop, whoever else has hit a watch
// (facts/qemu.md 0.2): so there is an implementation for one vCPU of x86, for several, and for
// processors that stop before.
#pragma once

#include <optional>

#include "daemon/import_places.hpp"
#include "daemon/recorder.hpp"
#include "daemon/stepper.hpp"

namespace swat::daemon {

// What has stopped the guest.
struct StopCause {
  std::optional<unsigned> vcpu;  // has met a trap; nullopt: none, QEMU was told to stop
  bool is_own = false;           // by us
};

// The guest stands still whenever one of these is called, and what it held at earlier stops has
// been forgotten.
class WatchStops {
 public:
  // What the implementations work with; all of it outlives them.
  struct Context {
    Vm& vm;
    os::OsModel& model;
    const TrapSet& traps;
    const Calibration& calibration;
    Recorder& recorder;
    Stepper& stepper;
    ImportPlaces& imports;
  };

  virtual ~WatchStops() = default;

  // At each stop that QEMU reports, first of all: logs what vCPUs have hit, or are about to, that
  // QEMU does not tell of at this stop, and sees to it that they do not stop for it again. The
  // guest stays stopped.
  [[nodiscard]] virtual Result<> settle(const StopCause& cause) = 0;

  // `vcpu` has been stopped by the watch that starts at `watch`: logs what that means, and lets the
  // guest run on.
  [[nodiscard]] virtual Result<NextStop> on_watch(unsigned vcpu, Va watch) = 0;

  // `vcpu` has been stopped by no watch that QEMU names, at no breakpoint of ours: logs what it may
  // have hit all the same. The guest stays stopped.
  [[nodiscard]] virtual Result<> on_unnamed_stop(unsigned vcpu) = 0;
};

}  // namespace swat::daemon
