#include "daemon/watch_stops_several.hpp"

#include <algorithm>

#include "daemon/settle_others.hpp"

namespace swat::daemon {
namespace {

// The call that the named watch reports; else, as the name may be an old one, or that of a watch
// that is no more, one that is certain; else whichever there is: a vCPU that has hit something and
// stands at a function's first instruction has called it.
std::optional<Call> pick(const std::vector<CallLog::Candidate>& calls, std::optional<Va> watch) {
  const auto named = std::ranges::find_if(calls, [&](const auto& c) { return c.watch == watch; });
  if (named != calls.end()) return named->call;
  const auto certain = std::ranges::find_if(calls, &CallLog::Candidate::certain);
  if (certain != calls.end()) return certain->call;
  return calls.empty() ? std::nullopt : std::optional(calls.front().call);
}

// Whether a vCPU at `pc` has read the table. `or_late`: it has stopped by itself, so that it is
// further on for no other reason.
bool has_dispatched(const os::SyscallDispatch& dispatch, Va pc, bool or_late) {
  const bool at_handler = std::ranges::find(dispatch.handlers, pc) != dispatch.handlers.end();
  return std::ranges::any_of(dispatch.loads, [&](const os::SyscallDispatch::Load& load) {
    if (load.reg.empty()) return at_handler;
    return load.next == pc || (or_late && (load.late == pc || at_handler));
  });
}

}  // namespace

std::optional<os::DispatchedSyscall> WatchStopsSeveral::dispatched_at(unsigned vcpu, bool or_late) {
  StoppedGuest& guest = with_.vm.guest();
  const auto& watches = with_.calibration.entries().table_watches();
  if (watches.empty() || !guest.in_kernel(vcpu)) return {};
  for (const Trap& trap : watches) {
    const os::SyscallDispatch& dispatch = *std::get<DispatchTrap>(trap.what).dispatch;
    if (!has_dispatched(dispatch, guest.pc(vcpu), or_late)) continue;
    const auto call = with_.model.dispatched(vcpu, dispatch);
    if (!call) continue;
    const Va slot = dispatch.slot(call->number).start;
    if (VaRange{trap.point.at, trap.point.at + trap.point.size_bytes}.contains(slot)) return *call;
  }
  return {};
}

// --- The vCPU that QEMU names

Result<NextStop> WatchStopsSeveral::on_watch(unsigned vcpu, Va watch) {
  StoppedGuest& guest = with_.vm.guest();
  Recorder& recorder = with_.recorder;
  const Actor actor = SWAT_TRY(recorder.meet(vcpu));
  // Whatever it was, it is not to be found there again when another vCPU stops before this one has
  // run: hence the steps.
  if (const auto* entry = with_.calibration.entries().behind(vcpu, guest.pc(vcpu), true)) {
    recorder.log_calls();
    SWAT_CHECK(recorder.syscall(*entry, actor));
    return with_.stepper.step_over(vcpu, actor.thread);
  }
  if (const auto call = dispatched_at(vcpu, true)) {
    SWAT_CHECK(recorder.syscall(*call, actor));
    return with_.stepper.step_over(vcpu, actor.thread);
  }
  CallReturns& calls = recorder.call_returns();
  const auto place = calls.place_of_return(vcpu);
  if (place && calls.leave(actor, *place)) return runs_on(returns_.resume_without_idle());
  ReturnLog& log = recorder.returns();
  auto result = log.may_have_read(vcpu) ? log.own_watch(vcpu) : std::nullopt;
  if (!result && guest.in_kernel(vcpu)) result = log.watched(watch);
  if (result) return runs_on(returns_.on_result_watch(vcpu, *result, actor));
  return on_user_read(vcpu, watch, actor);
}

Result<NextStop> WatchStopsSeveral::on_user_read(unsigned vcpu, Va watch, const Actor& actor) {
  Recorder& recorder = with_.recorder;
  auto call = recorder.calls().import_at(vcpu, watch, actor.thread);
  if (!call) call = pick(recorder.calls().imports_at(vcpu, actor.thread), std::nullopt);
  if (!call && recorder.call_returns().is_watched(watch)) {
    return runs_on(returns_.on_stack_watch(vcpu, watch, actor));
  }
  const bool is_at_callee = call && !with_.vm.guest().in_kernel(vcpu);
  const bool comes_back = recorder.call_returns().is_on();
  if (comes_back) SWAT_CHECK(returns_.enter(call, actor));
  const NextStop next = SWAT_TRY(is_at_callee ? with_.stepper.step_over(vcpu, actor.thread)
                                              : runs_on(with_.vm.session().resume()));
  if (!comes_back) (void)recorder.import(std::move(call), actor);  // nothing changes
  return next;
}

Result<> WatchStopsSeveral::on_unnamed_stop(unsigned vcpu) {
  SWAT_CHECK(returns_.settle_result(vcpu));
  return {};
}

// --- The others

Result<> WatchStopsSeveral::settle(const StopCause& cause) {
  return settle_others(with_, cause.vcpu, [&](unsigned vcpu) { return settle_one(vcpu); });
}

Result<bool> WatchStopsSeveral::settle_one(unsigned vcpu) {
  const Va pc = with_.vm.guest().pc(vcpu);
  Result<> settled;
  if (SWAT_TRY(returns_.settle_result(vcpu))) {
    settled = with_.stepper.step_off(vcpu);
  } else if (SWAT_TRY(returns_.settle_call(vcpu)) || SWAT_TRY(returns_.settle_pop(vcpu))) {
    // and moved on
  } else if (const auto* entry = with_.calibration.entries().behind(vcpu, pc, false)) {
    settled = settle_entry(vcpu, *entry);
  } else if (const auto call = dispatched_at(vcpu, false)) {
    settled = settle_dispatch(vcpu, *call);
  } else if (with_.imports.may_have_called(vcpu)) {
    settled = settle_import(vcpu);
  } else if (with_.imports.may_have_loaded(vcpu)) {
    settled = settle_load(vcpu);
  } else {
    return false;
  }
  SWAT_CHECK(settled);
  return true;
}

Result<> WatchStopsSeveral::settle_entry(unsigned vcpu, const EntryTrap& entry) {
  const Actor actor = SWAT_TRY(with_.recorder.meet(vcpu));
  with_.recorder.log_calls();
  SWAT_CHECK(with_.recorder.syscall(entry, actor));
  return with_.stepper.step_off(vcpu);
}

Result<> WatchStopsSeveral::settle_dispatch(unsigned vcpu, const os::DispatchedSyscall& call) {
  const Actor actor = SWAT_TRY(with_.recorder.meet(vcpu));
  SWAT_CHECK(with_.recorder.syscall(call, actor));
  return with_.stepper.step_off(vcpu);
}

Result<> WatchStopsSeveral::settle_import(unsigned vcpu) {
  const Actor actor = SWAT_TRY(with_.recorder.meet(vcpu));
  // Before the step: it runs the callee's first instruction, which may move the stack.
  const auto calls = with_.recorder.calls().imports_at(vcpu, actor.thread);
  const auto stop = SWAT_TRY(with_.stepper.step(vcpu));
  if (!stop.watch) return {};
  SWAT_CHECK(returns_.enter(pick(calls, stop.watch), actor));
  // The first instruction was the last, too.
  return returns_.settle_stepped(vcpu, actor);
}

Result<> WatchStopsSeveral::settle_load(unsigned vcpu) {
  const auto stop = SWAT_TRY(with_.stepper.step(vcpu));
  if (!stop.watch) return {};
  const Actor actor = SWAT_TRY(with_.recorder.meet(vcpu));
  // Of the instruction that was stepped: what it hit will not be reported a second time.
  if (with_.imports.may_have_called(vcpu)) {
    const auto calls = with_.recorder.calls().imports_at(vcpu, actor.thread);
    SWAT_CHECK(returns_.enter(pick(calls, stop.watch), actor));
  }
  return returns_.settle_stepped(vcpu, actor);
}

}  // namespace swat::daemon
