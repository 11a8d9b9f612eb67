// Returns of syscalls and functions (--returns), where a vCPU stops behind the read that tells of
// them: of a thread's saved result by the kernel, or of a return address by `ret`.
#pragma once

#include "daemon/import_places.hpp"
#include "daemon/recorder.hpp"
#include "daemon/stepper.hpp"

namespace swat::daemon {

class ReturnStops {
 public:
  // All outlive this.
  ReturnStops(Vm& vm, Recorder& recorder, Stepper& stepper, ImportPlaces& imports)
      : vm_(vm), recorder_(recorder), stepper_(stepper), imports_(imports) {}

  // `actor` has been stopped by the watch of a thread's result. The guest runs on.
  [[nodiscard]] Result<> on_result_watch(unsigned vcpu, const ReturnLog::Watched& watched,
                                         const Actor& actor);
  // A word of a stack has been read, which may be a function's return. The guest runs on.
  [[nodiscard]] Result<> on_stack_watch(unsigned vcpu, Va word, const Actor& actor);

  // These are for hits that QEMU has not reported; the guest stays stopped.
  // True: the vCPU stands just behind a read of its thread's result; if it was a return, it is
  // logged. To be asked where there are several vCPUs.
  [[nodiscard]] Result<bool> settle_result(unsigned vcpu);
  // True: a function has just returned on the vCPU; it is logged, and the vCPU moved on.
  [[nodiscard]] Result<bool> settle_call(unsigned vcpu);
  // True: something may just have returned on the vCPU in a word that is watched for another
  // process; the vCPU has moved on.
  [[nodiscard]] Result<bool> settle_pop(unsigned vcpu);
  // A step may have been a function's return.
  [[nodiscard]] Result<> settle_stepped(unsigned vcpu, const Actor& actor);

  // The call, if there is one, is logged, and its return will be noticed.
  [[nodiscard]] Result<> enter(std::optional<Call> call, const Actor& actor);
  // Watches that nobody needs any more go before any vCPU runs on (CallReturns::take_out_idle).
  [[nodiscard]] Result<> resume_without_idle();

 private:
  // Then what a stop needs of the vCPU can come in one write with the resume.
  [[nodiscard]] bool has_one_vcpu() { return vm_.session().threads().size() == 1; }
  // That the vCPU's last instruction was, if it can be told.
  [[nodiscard]] Result<> log_certain_call(unsigned vcpu, const Actor& actor);

  Vm& vm_;
  Recorder& recorder_;
  Stepper& stepper_;
  ImportPlaces& imports_;
};

}  // namespace swat::daemon
