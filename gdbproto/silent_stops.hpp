// Stops that QEMU reports to nobody but its monitor.
//
// QEMU 8.1 and later answer a stop only where the packet that let the guest run asks for an answer.
// Resumed by the monitor's `cont` it stops in silence, and up to 10.1 that spares it what it does
// just before it reports a breakpoint: throw all translated code away. So the stop is noticed by
// QMP's event STOP, and by the run state what it was: "debug" is a breakpoint.
// [QEMU gdbstub/system.c, gdb_vm_state_change: allow_stop_reply, tb_flush; commits 75837005 (8.1),
// dae1e0df (10.2)]
//
// Never with a watchpoint in the stub: a hit that is not reported is not forgotten either, and from
// then on each access to a watched page stops the guest.
#pragma once

#include <chrono>

#include "gdbproto/qmp.hpp"
#include "gdbproto/stop_reply.hpp"
#include "symbols/result.hpp"

namespace swat::gdbproto {

class SilentStops {
 public:
  using Millis = std::chrono::milliseconds;

  // `monitor` has shaken hands, and outlives this.
  explicit SilentStops(Qmp& monitor) : monitor_(monitor) {}

  // Signal 5 and no thread: vCPUs stand at breakpoints, nobody says which. Signal 2: the VM was
  // paused, by pause() or by somebody else. kTimeout: it runs on.
  [[nodiscard]] Result<StopReply> wait(Millis timeout);
  // Once it returns the guest stands still, unless a breakpoint came first; wait() tells.
  [[nodiscard]] Result<> pause();

 private:
  Qmp& monitor_;
  bool asked_ = false;  // by pause(): a VM that cannot run has no event to tell
};

}  // namespace swat::gdbproto
