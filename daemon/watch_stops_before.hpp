// vCPUs that stop before the access (ARM, AArch64), one or several.
//
// The vCPU stands at the instruction that is about to read what is watched, and would stop there
// for ever: it is moved past it (access_stepper.hpp).
//
// That makes several vCPUs simpler than on x86 (watch_stops_several.hpp): one that has hit a watch
// and was not reported still stands before its read, as does one that was paused there by chance.
// Both are logged, and moved past it. The former's hit is still held by QEMU, which would let its
// next access through and stop behind it; so a vCPU is stepped first, which makes QEMU report the
// hit: then it has either been stopped anew, or has executed the instruction.
// [QEMU 7.2, cpu_check_watchpoint in softmmu/physmem.c]
#pragma once

#include "daemon/access_stepper.hpp"
#include "daemon/watch_stops.hpp"

namespace swat::daemon {

class WatchStopsBefore final : public WatchStops {
 public:
  explicit WatchStopsBefore(const Context& with)
      : with_(with), stepper_(with.vm, with.stepper, with.traps, with.recorder.returns()) {}

  Result<> settle(const StopCause& cause) override;
  Result<NextStop> on_watch(unsigned vcpu, Va watch) override;
  // It has not made its access, and stops again where it does.
  Result<> on_unnamed_stop(unsigned) override { return {}; }

 private:
  // Logs what the vCPU is about to read of what is watched, and moves it past that; false: nothing.
  [[nodiscard]] Result<bool> settle_one(unsigned vcpu);
  [[nodiscard]] Result<bool> settle_entry(unsigned vcpu);
  [[nodiscard]] Result<bool> settle_result(unsigned vcpu);
  [[nodiscard]] Result<bool> settle_import(unsigned vcpu);
  void before_result(unsigned vcpu, const ReturnLog::Watched& watched, const Actor& actor);

  // What the vCPU stands before a watched read of, as far as is known: the literal of an entry, the
  // kernel's table, or its thread's result, on its way back to user mode or not.
  [[nodiscard]] const EntryTrap* entry_ahead(unsigned vcpu);
  [[nodiscard]] std::optional<os::DispatchedSyscall> syscall_ahead(unsigned vcpu);
  [[nodiscard]] std::optional<ReturnLog::Watched> result_ahead(unsigned vcpu);

  Context with_;
  AccessStepper stepper_;
};

}  // namespace swat::daemon
