#include "daemon/stepper.hpp"

#include <algorithm>

#include "daemon/user_place.hpp"

namespace swat::daemon {
namespace {

constexpr std::chrono::milliseconds kStepTimeout{2000};
constexpr unsigned kStepTries = 3;

}  // namespace

Result<Va> Stepper::carry_out(VcpuWrites& writes, unsigned vcpu, const os::Thread& thread) {
  const bool in_kernel = vm_.guest().in_kernel(vcpu);
  const auto memory = in_kernel ? nullptr : model_.memory(thread.process);
  VirtualMemory& code = in_kernel ? model_.kernel_memory() : *memory;
  const unsigned kernel_bits = 8 * model_.word_bytes();
  const unsigned user_bits = 8 * user_word_bytes(vm_.guest(), vcpu, thread.process);
  const unsigned bits = in_kernel ? kernel_bits : std::min(user_bits, kernel_bits);
  return os::emulate(vm_.guest().architecture(), code, writes, vm_.guest().pc(vcpu), bits);
}

Result<bool> Stepper::emulate_and_resume(unsigned vcpu, const os::Thread& thread) {
  VcpuWrites writes(vm_.session(), vm_.guest(), vcpu);
  const auto next = carry_out(writes, vcpu, thread);
  if (next) SWAT_CHECK(writes.resume_at(*next));
  return next.has_value();
}

Result<bool> Stepper::emulate(unsigned vcpu, const os::Thread& thread) {
  VcpuWrites writes(vm_.session(), vm_.guest(), vcpu);
  const auto next = carry_out(writes, vcpu, thread);
  if (next) SWAT_CHECK(writes.move_to(*next));
  return next.has_value();
}

Result<NextStop> Stepper::step_over(unsigned vcpu, const os::Thread& thread) {
  if (SWAT_TRY(emulate_and_resume(vcpu, thread))) return NextStop{};
  StoppedGuest& guest = vm_.guest();
  const bool in_kernel = guest.in_kernel(vcpu);
  const Va pc = guest.pc(vcpu);
  const Va sp = guest.sp(vcpu);
  auto stop = SWAT_TRY(step(vcpu));
  // One that reports an old hit of a watch executes nothing: the breakpoint would be hit again.
  if (guest.pc(vcpu) == pc) stop = SWAT_TRY(step(vcpu));
  if (stop.watch) return stop;  // the instruction itself has met a watch
  // The page of the instruction was absent: the step went to the fault handler.
  if (!in_kernel && guest.in_kernel(vcpu)) calls_.will_be_back(thread, pc, sp);
  SWAT_CHECK(vm_.session().resume());
  return NextStop{};
}

Result<gdbproto::StopReply> Stepper::step(unsigned vcpu) {
  gdbproto::Session& session = vm_.session();
  SWAT_CHECK(session.step(session.threads()[vcpu]));
  auto stop = session.wait_stop(kStepTimeout);
  if (!stop && stop.error().code == Errc::kTimeout) {
    SWAT_CHECK(session.interrupt());
    stop = session.wait_stop(gdbproto::Session::kReplyTimeout);
  }
  if (stop && stop->exited) return fail(Errc::kDisconnected, "QEMU has exited");
  vm_.guest().forget();
  return stop;
}

// When the vCPU was paused just before it could stop by itself, the first step reports the hit and
// executes nothing.
Result<> Stepper::step_off(unsigned vcpu) {
  const Va pc = vm_.guest().pc(vcpu);
  for (unsigned i = 0; i < kStepTries && vm_.guest().pc(vcpu) == pc; ++i) {
    SWAT_CHECK(step(vcpu));
  }
  return {};
}

}  // namespace swat::daemon
