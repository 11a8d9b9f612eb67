// The run state of a VM, read out of QEMU's own memory.
//
// Connecting to the gdbstub stops the guest, and since QEMU 8.1 nothing on the wire tells
// afterwards whether it had been running. QEMU keeps the state in a static variable, which has no
// symbol, but two of what it exports for its modules lead there:
//   bool runstate_is_running(void)   [endbr64] cmpl $RUN_STATE_RUNNING, disp32(%rip); sete %al; ret
//   const QEnumLookup RunState_lookup    the names of all states: {array, ..., size}
// [system/runstate.c, before 8.2 softmmu/runstate.c; qapi/util.h. Pinned on Debian's 7.2 and 11.1]
//
// Nothing here is an interface that QEMU promises. So whatever looks otherwise is an error, and who
// uses this compares it with what the monitor says as soon as it can.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::daemon {

class QemuRunState {
 public:
  // `image`: where the file of QEMU's program is mapped in `qemu`. kNotFound: that file exports no
  // run state; kUnsupported: it does, but not as above.
  [[nodiscard]] static Result<QemuRunState> in(VirtualMemory& qemu, Va image);

  // Its name as of now: "running", "paused", "prelaunch", ... as QMP's query-status has them.
  [[nodiscard]] Result<std::string> read(VirtualMemory& qemu) const;

 private:
  QemuRunState(Va variable, std::vector<std::string> names)
      : variable_(variable), names_(std::move(names)) {}

  Va variable_;  // 32 bits, an index into `names_`
  std::vector<std::string> names_;
};

}  // namespace swat::daemon
