// Moves a vCPU past a watched access, where vCPUs stop before it (ARM, AArch64): what it does is
// carried out for it, so that it goes on behind it. What is not understood is stepped, with the
// watches out of the way.
#pragma once

#include <vector>

#include "daemon/return_log.hpp"
#include "daemon/stepper.hpp"
#include "daemon/trap_set.hpp"

namespace swat::daemon {

class AccessStepper {
 public:
  // All outlive this. `traps` and `returns` know the watches.
  AccessStepper(Vm& vm, Stepper& stepper, const TrapSet& traps, const ReturnLog& returns)
      : vm_(vm), stepper_(stepper), traps_(traps), returns_(returns) {}

  // Past the instruction that the watch from `watch` on has stopped; then the guest runs on.
  [[nodiscard]] Result<> pass(unsigned vcpu, Va watch, const os::Thread& thread);
  // Past one that stands before a watched access, whether or not QEMU holds a hit of it. Leaves the
  // guest stopped.
  [[nodiscard]] Result<> move_past(unsigned vcpu, const os::Thread& thread);

 private:
  // All that start there.
  [[nodiscard]] std::vector<gdbproto::Point> points_at(Va watch) const;
  // By taking the watches on what it reads away for a step.
  [[nodiscard]] Result<> step_past(unsigned vcpu, Va watch);

  Vm& vm_;
  Stepper& stepper_;
  const TrapSet& traps_;
  const ReturnLog& returns_;
};

}  // namespace swat::daemon
