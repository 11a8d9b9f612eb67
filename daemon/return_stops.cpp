#include "daemon/return_stops.hpp"

#include <algorithm>

namespace swat::daemon {

// With RAM at hand the word is read along, so that the registers can come in one write with the
// resume. Where RAM is read through the stub, that would be round trips for something that hardly
// ever matters: only a signal makes the kernel look at the word before it is loaded.
Result<> ReturnStops::on_result_watch(unsigned vcpu, const ReturnLog::Watched& watched,
                                      const Actor& actor) {
  ReturnLog& returns = recorder_.returns();
  if (!returns.concerns(watched, actor)) {
    recorder_.count_idle();
    return vm_.session().resume(returns.after_idle_read(watched, actor));
  }
  const bool in_one_write = has_one_vcpu() && vm_.ram().is_local();
  std::optional<std::uint64_t> word;
  if (in_one_write) {
    word = returns.value(watched);
    const auto id = vm_.session().threads()[vcpu];
    vm_.guest().remember(vcpu, SWAT_TRY(vm_.session().registers_and_resume(id)));
  }
  recorder_.log_calls();
  const bool is_return = returns.is_return(watched, vcpu);
  if (is_return) {
    returns.leave(actor, watched, word);
  } else {
    recorder_.count_idle();
    if (!in_one_write) word = returns.value(watched);
    if (word) returns.peeked(actor, *word);
  }
  return in_one_write ? Result<>() : vm_.session().resume();
}

// One that says nothing must not be left in QEMU either: its watch may be removed before the vCPU
// stops again. (facts/qemu.md 0.2)
Result<bool> ReturnStops::settle_result(unsigned vcpu) {
  ReturnLog& returns = recorder_.returns();
  if (!returns.may_have_read(vcpu)) return false;
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  const auto watched = returns.own_watch(vcpu);
  if (!watched) return false;
  if (!returns.concerns(*watched, actor)) return true;
  recorder_.log_calls();
  if (returns.is_return(*watched, vcpu)) {
    returns.leave(actor, *watched, std::nullopt);
  } else if (const auto word = returns.value(*watched)) {
    returns.peeked(actor, *word);
  }
  return true;
}

// Whether the read was that of a return the registers tell, which come in one write with the
// resume. What the word holds tells of reads that were none, when the word was read along.
Result<> ReturnStops::on_stack_watch(unsigned vcpu, Va word, const Actor& actor) {
  CallReturns& calls = recorder_.call_returns();
  const auto value = calls.value(word, actor);
  const bool in_one_write = has_one_vcpu() && !calls.reads_memory(word, actor);
  if (in_one_write) {
    const auto id = vm_.session().threads()[vcpu];
    vm_.guest().remember(vcpu, SWAT_TRY(vm_.session().registers_and_resume(id, calls.tidy())));
  }
  const auto place = calls.place_behind(word, actor);
  if (!place || !calls.leave(actor, *place)) {
    recorder_.count_idle();
    calls.read(actor, word, value);
  }
  return in_one_write ? Result<>() : resume_without_idle();
}

Result<> ReturnStops::resume_without_idle() {
  SWAT_CHECK(recorder_.call_returns().take_out_idle(1));
  return vm_.session().resume(recorder_.call_returns().tidy());
}

Result<> ReturnStops::enter(std::optional<Call> call, const Actor& actor) {
  SWAT_CHECK(vm_.session().change(recorder_.import(std::move(call), actor)));
  return recorder_.call_returns().take_out_idle();
}

// QEMU does not tell of what a vCPU reads as long as it holds an older hit of it: a call that the
// step itself has made is logged here.
Result<bool> ReturnStops::settle_call(unsigned vcpu) {
  const auto place = recorder_.call_returns().place_of_return(vcpu);
  if (!place) return false;
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  if (!recorder_.call_returns().leave(actor, *place)) return false;
  SWAT_CHECK(stepper_.step_off(vcpu));
  SWAT_CHECK(recorder_.call_returns().take_out_idle());
  if (imports_.may_have_called(vcpu)) SWAT_CHECK(log_certain_call(vcpu, actor));
  return true;
}

Result<bool> ReturnStops::settle_pop(unsigned vcpu) {
  if (!recorder_.call_returns().may_have_popped(vcpu)) return false;
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  SWAT_CHECK(stepper_.step_off(vcpu));
  if (imports_.may_have_called(vcpu)) SWAT_CHECK(log_certain_call(vcpu, actor));
  return true;
}

Result<> ReturnStops::log_certain_call(unsigned vcpu, const Actor& actor) {
  const auto calls = recorder_.calls().imports_at(vcpu, actor.thread);
  const auto certain = std::ranges::find_if(calls, &CallLog::Candidate::certain);
  return certain == calls.end() ? Result<>() : enter(certain->call, actor);
}

Result<> ReturnStops::settle_stepped(unsigned vcpu, const Actor& actor) {
  CallReturns& calls = recorder_.call_returns();
  if (const auto place = calls.place_of_return(vcpu)) calls.leave(actor, *place);
  return calls.take_out_idle();
}

}  // namespace swat::daemon
