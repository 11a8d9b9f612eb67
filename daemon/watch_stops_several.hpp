// Several vCPUs that stop behind the access (x86): exact although QEMU is not.
//
// When two vCPUs hit watchpoints at once, QEMU stops once and names one of them. The other has made
// its access too, stands just behind it, and is never reported; worse, QEMU still holds its hit,
// and the vCPU's next access to a watched page, whatever its address, stops it late (facts/qemu.md
// 0.2).
//
// So at each stop every other vCPU is looked at. One that stands where an entry's stop would be has
// hit it: a reported vCPU is always moved one instruction on before the guest runs, so nobody else
// can stand there. A step of that vCPU alone makes QEMU report and forget the hit. For a call the
// PC is not proof enough, as a vCPU may be paused at a function's first instruction by chance;
// there the step's own report tells.
//
// Slots are read without a call, too, by ld.so and by code that loads a pointer out of one. A vCPU
// that may just have done so is stepped likewise: when its process ends, and its watches with it, a
// hit that QEMU still held would make QEMU lose the vCPU's next one. What is overlooked all the
// same (a load through a register) is reported late, under the name of an old watch. So where a
// vCPU stands counts for more than the watch that is named.
#pragma once

#include "daemon/return_stops.hpp"
#include "daemon/watch_stops.hpp"

namespace swat::daemon {

class WatchStopsSeveral final : public WatchStops {
 public:
  explicit WatchStopsSeveral(const Context& with)
      : with_(with), returns_(with.vm, with.recorder, with.stepper, with.imports) {}

  Result<> settle(const StopCause& cause) override;
  Result<NextStop> on_watch(unsigned vcpu, Va watch) override;
  Result<> on_unnamed_stop(unsigned vcpu) override;

 private:
  // True: the vCPU has hit something, or may have, and has been stepped.
  [[nodiscard]] Result<bool> settle_one(unsigned vcpu);
  [[nodiscard]] Result<> settle_entry(unsigned vcpu, const EntryTrap& entry);
  [[nodiscard]] Result<> settle_dispatch(unsigned vcpu, const os::DispatchedSyscall& call);
  [[nodiscard]] Result<> settle_import(unsigned vcpu);
  // A slot has been read, perhaps, and not for a call.
  [[nodiscard]] Result<> settle_load(unsigned vcpu);

  // It was neither a syscall nor its return: a call, the return of one, or nothing.
  [[nodiscard]] Result<NextStop> on_user_read(unsigned vcpu, Va watch, const Actor& actor);
  // The syscall whose slot of the kernel's table the vCPU has just read, if that slot is watched.
  [[nodiscard]] std::optional<os::DispatchedSyscall> dispatched_at(unsigned vcpu, bool or_late);

  Context with_;
  ReturnStops returns_;
};

}  // namespace swat::daemon
