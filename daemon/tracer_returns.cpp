// The tracer's stops at returns of syscalls and functions (--returns).
#include "daemon/tracer.hpp"

namespace swat::daemon {

// With RAM at hand the word is read along, so that the registers can come in one write with the
// resume. Where RAM is read through the stub, that would be round trips for something that hardly
// ever matters: only a signal makes the kernel look at the word before it is loaded.
Result<> Tracer::on_return_watch(unsigned vcpu, const ReturnLog::Watched& watched,
                                 const Actor& actor) {
  if (!recorder_.returns().concerns(watched, actor)) {
    recorder_.count_idle();
    return vm_.session().resume(recorder_.returns().after_idle_read(watched, actor));
  }
  const bool in_one_write = !is_smp() && vm_.ram().is_local();
  std::optional<std::uint64_t> word;
  if (in_one_write) {
    word = recorder_.returns().value(watched);
    const auto id = vm_.session().threads()[vcpu];
    vm_.guest().remember(vcpu, SWAT_TRY(vm_.session().registers_and_resume(id)));
  }
  recorder_.log_calls();
  const bool is_return = recorder_.returns().is_return(watched, vcpu);
  if (is_return) {
    recorder_.returns().leave(actor, watched, word);
  } else {
    recorder_.count_idle();
    if (!in_one_write) word = recorder_.returns().value(watched);
    if (word) recorder_.returns().peeked(actor, *word);
  }
  return in_one_write ? Result<>() : vm_.session().resume();
}

// On SMP: a read that QEMU has not reported. (facts/qemu.md 0.2) One that says nothing must not be
// left in QEMU either: its watch may be removed before the vCPU stops again.
Result<bool> Tracer::settle_return(unsigned vcpu) {
  if (!is_smp() || !recorder_.returns().may_have_read(vcpu)) return false;
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  const auto watched = recorder_.returns().own_watch(vcpu);
  if (!watched) return false;
  if (!recorder_.returns().concerns(*watched, actor)) return true;
  recorder_.log_calls();
  if (recorder_.returns().is_return(*watched, vcpu)) {
    recorder_.returns().leave(actor, *watched, std::nullopt);
  } else if (const auto word = recorder_.returns().value(*watched)) {
    recorder_.returns().peeked(actor, *word);
  }
  return true;
}

// Whether the read was that of a return the registers tell, which come in one write with the
// resume. What the word holds tells of reads that were none, when the word was read along.
Result<> Tracer::on_stack_watch(unsigned vcpu, Va word, const Actor& actor) {
  const auto value = recorder_.call_returns().value(word, actor);
  const bool in_one_write = !is_smp();
  if (in_one_write) {
    const auto id = vm_.session().threads()[vcpu];
    vm_.guest().remember(
        vcpu, SWAT_TRY(vm_.session().registers_and_resume(id, recorder_.call_returns().tidy())));
  }
  const auto place = recorder_.call_returns().place_behind(word, actor);
  if (!place || !recorder_.call_returns().leave(actor, *place)) {
    recorder_.count_idle();
    recorder_.call_returns().read(actor, word, value);
  }
  return in_one_write ? Result<>() : resume_without_idle();
}

Result<> Tracer::resume_without_idle() {
  SWAT_CHECK(recorder_.call_returns().take_out_idle(1));
  return vm_.session().resume(recorder_.call_returns().tidy());
}

Result<> Tracer::await_call_return(const gdbproto::PointChanges& changes) {
  SWAT_CHECK(vm_.session().change(changes));
  return recorder_.call_returns().take_out_idle();
}

// QEMU does not tell of what a vCPU reads as long as it holds an older hit of it: a call that the
// step itself has made is logged here.
Result<bool> Tracer::settle_call_return(unsigned vcpu) {
  const auto place = recorder_.call_returns().place_of_return(vcpu);
  if (!place) return false;
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  if (!recorder_.call_returns().leave(actor, *place)) return false;
  SWAT_CHECK(stepper_.step_off(vcpu));
  SWAT_CHECK(recorder_.call_returns().take_out_idle());
  if (may_have_called(vcpu)) SWAT_CHECK(log_certain_call(vcpu, actor));
  return true;
}

}  // namespace swat::daemon
