// The tracer's stops at returns of syscalls and functions (--returns).
#include "daemon/tracer.hpp"

namespace swat::daemon {

// With RAM at hand the word is read along, so that the registers can come in one write with the
// resume. Where RAM is read through the stub, that would be round trips for something that hardly
// ever matters: only a signal makes the kernel look at the word before it is loaded.
Result<> Tracer::on_return_watch(unsigned vcpu, const ReturnLog::Watched& watched,
                                 const Actor& actor) {
  if (!returns_.concerns(watched, actor)) {
    ++idle_stops_;
    return vm_.session().resume(returns_.after_idle_read(watched, actor));
  }
  const bool in_one_write = !is_smp() && vm_.ram().is_local();
  std::optional<std::uint64_t> word;
  if (in_one_write) {
    word = returns_.value(watched);
    const auto id = vm_.session().threads()[vcpu];
    vm_.guest().remember(vcpu, SWAT_TRY(vm_.session().registers_and_resume(id)));
  }
  log_calls();
  const bool is_return = returns_.is_return(watched, vcpu);
  if (is_return) {
    returns_.leave(actor, watched, word);
  } else {
    ++idle_stops_;
    if (!in_one_write) word = returns_.value(watched);
    if (word) returns_.peeked(actor, *word);
  }
  return in_one_write ? Result<>() : vm_.session().resume();
}

// On SMP: a read that QEMU has not reported. (facts/qemu.md 0.2) One that says nothing must not be
// left in QEMU either: its watch may be removed before the vCPU stops again.
Result<bool> Tracer::settle_return(unsigned vcpu) {
  if (!is_smp() || !returns_.may_have_read(vcpu)) return false;
  const Actor actor = SWAT_TRY(meet(vcpu));
  const auto watched = returns_.own_watch(vcpu);
  if (!watched) return false;
  if (!returns_.concerns(*watched, actor)) return true;
  log_calls();
  if (returns_.is_return(*watched, vcpu)) {
    returns_.leave(actor, *watched, std::nullopt);
  } else if (const auto word = returns_.value(*watched)) {
    returns_.peeked(actor, *word);
  }
  return true;
}

// Whether the read was that of a return the registers tell, which come in one write with the
// resume. What the word holds tells of reads that were none, when the word was read along.
Result<> Tracer::on_stack_watch(unsigned vcpu, Va word, const Actor& actor) {
  const auto value = call_returns_.value(word, actor);
  const bool in_one_write = !is_smp();
  if (in_one_write) {
    const auto id = vm_.session().threads()[vcpu];
    vm_.guest().remember(vcpu,
                         SWAT_TRY(vm_.session().registers_and_resume(id, call_returns_.tidy())));
  }
  const auto place = call_returns_.place_behind(word, actor);
  if (!place || !call_returns_.leave(actor, *place)) {
    ++idle_stops_;
    call_returns_.read(actor, word, value);
  }
  return in_one_write ? Result<>() : resume_without_idle();
}

Result<> Tracer::resume_without_idle() {
  SWAT_CHECK(call_returns_.take_out_idle(1));
  return vm_.session().resume(call_returns_.tidy());
}

Result<> Tracer::await_call_return(const gdbproto::PointChanges& changes) {
  SWAT_CHECK(vm_.session().change(changes));
  return call_returns_.take_out_idle();
}

// QEMU does not tell of what a vCPU reads as long as it holds an older hit of it: a call that the
// step itself has made is logged here.
Result<bool> Tracer::settle_call_return(unsigned vcpu) {
  const auto place = call_returns_.place_of_return(vcpu);
  if (!place) return false;
  const Actor actor = SWAT_TRY(meet(vcpu));
  if (!call_returns_.leave(actor, *place)) return false;
  SWAT_CHECK(stepper_.step_off(vcpu));
  SWAT_CHECK(call_returns_.take_out_idle());
  if (may_have_called(vcpu)) SWAT_CHECK(log_certain_call(vcpu, actor));
  return true;
}

}  // namespace swat::daemon
