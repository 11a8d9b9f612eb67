// Moves a stopped vCPU past the instruction that it stands at: carried out for it
// (osmodels/emulation.hpp), or stepped where it is not understood.
#pragma once

#include <optional>

#include "daemon/call_log.hpp"
#include "daemon/vcpu_writes.hpp"
#include "daemon/vm.hpp"

namespace swat::daemon {

// What is left when a stop has been dealt with: another one, which a step has led to and which is
// to be dealt with like one that QEMU reported; or none, and the guest runs.
using NextStop = std::optional<gdbproto::StopReply>;

// The same of a resume.
[[nodiscard]] inline Result<NextStop> runs_on(const Result<>& resumed) {
  SWAT_CHECK(resumed);
  return NextStop{};
}

class Stepper {
 public:
  // All outlive this. `calls` is told of an instruction that will be met a second time.
  Stepper(Vm& vm, os::OsModel& model, CallLog& calls) : vm_(vm), model_(model), calls_(calls) {}

  // Carries out the instruction that the vCPU, on which `thread` runs, stands at; then the guest
  // runs on behind it, or (emulate) stays stopped. False: it is not understood, nothing has
  // happened.
  [[nodiscard]] Result<bool> emulate_and_resume(unsigned vcpu, const os::Thread& thread);
  [[nodiscard]] Result<bool> emulate(unsigned vcpu, const os::Thread& thread);

  // Runs on behind the instruction at a breakpoint, or where a vCPU must not be met again.
  [[nodiscard]] Result<NextStop> step_over(unsigned vcpu, const os::Thread& thread);

  // One instruction of this vCPU alone. One that executes none, being halted, is interrupted. The
  // guest stays stopped, and what it held before has been forgotten.
  [[nodiscard]] Result<gdbproto::StopReply> step(unsigned vcpu);
  // Moves the vCPU on by an instruction, which makes QEMU report and forget its hit.
  [[nodiscard]] Result<> step_off(unsigned vcpu);

 private:
  // Where the vCPU goes on; what it writes to registers is in `writes`.
  [[nodiscard]] Result<Va> carry_out(VcpuWrites& writes, unsigned vcpu, const os::Thread& thread);

  Vm& vm_;
  os::OsModel& model_;
  CallLog& calls_;
};

}  // namespace swat::daemon
