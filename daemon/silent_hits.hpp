// Stops at breakpoints that QEMU reports to nobody (gdbproto/silent_stops.hpp): 8.1 to 10.1 keeps
// its translated code then, which makes such a stop some ten times cheaper. Only for traces that
// have no watchpoint at all; Session sees to it that the first one ends it.
//
// Nobody says which vCPU has stopped, so the program counters of all are looked at. A vCPU stops
// before the instruction, and does so again as long as nobody moves it on. So of several that stand
// at breakpoints one is served at each stop, in turn, and none is lost or counted twice; one that
// another vCPU's hit has stopped there before its own is no exception.
#pragma once

#include <optional>

#include "daemon/trap_set.hpp"
#include "daemon/vm.hpp"

namespace swat::daemon {

class SilentHits {
 public:
  // Both outlive this.
  SilentHits(Vm& vm, TrapSet& traps) : vm_(vm), traps_(traps) {}

  // From here on, if this QEMU can. What can be had without is never worth an error.
  void begin();
  [[nodiscard]] bool is_silent(const gdbproto::StopReply& stop) const;
  // The vCPU that is to be served at this stop; none: nobody stands at a breakpoint of ours.
  [[nodiscard]] Result<std::optional<unsigned>> find();
  // Sees to it that the guest can run on, when there was none.
  [[nodiscard]] Result<> on_strange_stop();

 private:
  Vm& vm_;
  TrapSet& traps_;
  unsigned last_served_ = 0;  // vCPU
};

}  // namespace swat::daemon
