// Several vCPUs: exact although QEMU is not.
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
#include <algorithm>

#include "daemon/tracer.hpp"
#include "daemon/user_place.hpp"

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

std::optional<os::DispatchedSyscall> Tracer::dispatch_at(unsigned vcpu, bool or_late) {
  const auto& watches = calibration_.entries().table_watches();
  if (watches.empty() || !vm_.guest().in_kernel(vcpu)) return {};
  for (const Trap& trap : watches) {
    const os::SyscallDispatch& dispatch = *std::get<DispatchTrap>(trap.what).dispatch;
    if (!has_dispatched(dispatch, pc_of(vcpu), or_late)) continue;
    const auto call = model_.dispatched(vcpu, dispatch);
    if (!call) continue;
    const Va slot = dispatch.slot(call->number).start;
    if (VaRange{trap.point.at, trap.point.at + trap.point.size_bytes}.contains(slot)) return *call;
  }
  return {};
}

Result<NextStop> Tracer::on_watch_of_several(unsigned vcpu, Va watch, const Actor& actor) {
  const Va pc = pc_of(vcpu);
  if (const EntryTrap* entry = calibration_.entries().behind(vcpu, pc, true)) {
    recorder_.log_calls();
    SWAT_CHECK(recorder_.syscall(*entry, actor));
    // Not to be found here again when another vCPU stops before this one has run.
    return stepper_.step_over(vcpu, actor.thread);
  }
  if (const auto dispatched = dispatch_at(vcpu, true)) {
    SWAT_CHECK(recorder_.syscall(*dispatched, actor));
    return stepper_.step_over(vcpu, actor.thread);
  }
  if (const auto place = recorder_.call_returns().place_of_return(vcpu)) {
    if (recorder_.call_returns().leave(actor, *place)) return runs_on(resume_without_idle());
  }
  auto result =
      recorder_.returns().may_have_read(vcpu) ? recorder_.returns().own_watch(vcpu) : std::nullopt;
  if (!result && vm_.guest().in_kernel(vcpu)) result = recorder_.returns().watched(watch);
  if (result) return runs_on(on_return_watch(vcpu, *result, actor));
  std::optional<Call> call = recorder_.calls().import_at(vcpu, watch, actor.thread);
  if (!call) call = pick(recorder_.calls().imports_at(vcpu, actor.thread), std::nullopt);
  if (!call && recorder_.call_returns().is_watched(watch))
    return runs_on(on_stack_watch(vcpu, watch, actor));
  const bool is_at_callee = call && !vm_.guest().in_kernel(vcpu);
  const bool comes_back = recorder_.call_returns().is_on();
  if (comes_back) SWAT_CHECK(await_call_return(recorder_.import(call, actor)));
  const NextStop next = SWAT_TRY(is_at_callee ? stepper_.step_over(vcpu, actor.thread)
                                              : runs_on(vm_.session().resume()));
  if (!comes_back) (void)recorder_.import(std::move(call), actor);  // nothing changes
  return next;
}

Result<> Tracer::settle_others(std::optional<unsigned> reported) {
  const auto& threads = vm_.session().threads();
  auto registers = SWAT_TRY(vm_.session().registers_of(threads));
  for (unsigned vcpu = 0; vcpu < threads.size(); ++vcpu) {
    vm_.guest().remember(vcpu, registers[vcpu]);
  }
  for (unsigned vcpu = 0; vcpu < threads.size(); ++vcpu) {
    if (vcpu == reported) continue;
    SWAT_CHECK(recorder_.meet_stranger(vcpu));
    if (SWAT_TRY(settle_return(vcpu))) {
      SWAT_CHECK(stepper_.step_off(vcpu));
    } else if (SWAT_TRY(settle_call_return(vcpu))) {
      // and moved on
    } else if (const EntryTrap* entry = calibration_.entries().behind(vcpu, pc_of(vcpu), false)) {
      SWAT_CHECK(settle_entry(vcpu, *entry));
    } else if (const auto call = dispatch_at(vcpu, false)) {
      SWAT_CHECK(settle_dispatch(vcpu, *call));
    } else if (may_have_called(vcpu)) {
      SWAT_CHECK(settle_import(vcpu, SWAT_TRY(recorder_.meet(vcpu))));
    } else if (may_have_loaded_slot(vcpu)) {
      SWAT_CHECK(settle_load(vcpu));
    } else {
      continue;
    }
    // Stepping has made the stub forget what it sent; what it moved is read again when needed.
    for (unsigned other = vcpu + 1; other < threads.size(); ++other) {
      vm_.guest().remember(other, registers[other]);
    }
    if (reported) vm_.guest().remember(*reported, registers[*reported]);
  }
  return {};
}

// The same of the only vCPU, when the stop is one of our own and has overtaken its hit. It may also
// stand where a stop was reported, and not have run since: then a step reports no hit.
Result<> Tracer::settle_only() {
  if (SWAT_TRY(settle_call_return(0))) return {};
  const EntryTrap* entry = calibration_.entries().behind(0, pc_of(0), false);
  if (entry == nullptr) return {};
  const auto registers = SWAT_TRY(vm_.session().registers(vm_.session().threads()[0]));
  const Actor actor = SWAT_TRY(recorder_.meet(0));
  const auto stop = SWAT_TRY(stepper_.step(0));
  if (!stop.watch) return {};
  recorder_.log_calls();
  vm_.guest().remember(0, registers);
  SWAT_CHECK(recorder_.syscall(*entry, actor));
  vm_.guest().forget();
  return {};
}

// At a callee's first instruction; or, when the callee's page was absent, at that of the fault
// handler, before the interrupt that QEMU stops with could be taken.
bool Tracer::may_have_called(unsigned vcpu) {
  if (planner_.imports() == nullptr) return false;
  Va callee = pc_of(vcpu);
  if (vm_.guest().in_kernel(vcpu)) {
    if (callee != page_fault_entry_) return false;
    callee = Va{vm_.guest().reg_or_zero(vcpu, vm_.guest().machine().fault_address)};
  }
  const auto thread = model_.current(vcpu);
  ProcessView* view = thread ? processes_.find(thread->process) : nullptr;
  return view != nullptr && is_import_target(*view, *model_.memory(thread->process), callee);
}

bool Tracer::may_have_loaded_slot(unsigned vcpu) {
  if (planner_.imports() == nullptr) return false;
  const auto place = user_place(vm_.guest(), model_, vcpu);
  if (!place) return false;
  const auto thread = model_.current(vcpu);
  const ProcessView* const view = thread ? processes_.find(thread->process) : nullptr;
  const LoadedModule* const module = view != nullptr ? view->module_at(place->pc) : nullptr;
  if (module == nullptr) return false;
  if (module->module.is_dynamic_linker()) return true;
  const auto loaded = address_of_load(*model_.memory(thread->process), place->pc);
  return loaded && traps_.watches_read(*loaded, vm_.guest().machine().word_bytes);
}

Result<> Tracer::settle_entry(unsigned vcpu, const EntryTrap& entry) {
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  recorder_.log_calls();
  SWAT_CHECK(recorder_.syscall(entry, actor));
  return stepper_.step_off(vcpu);
}

Result<> Tracer::settle_dispatch(unsigned vcpu, const os::DispatchedSyscall& call) {
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  SWAT_CHECK(recorder_.syscall(call, actor));
  return stepper_.step_off(vcpu);
}

Result<> Tracer::log_certain_call(unsigned vcpu, const Actor& actor) {
  const auto calls = recorder_.calls().imports_at(vcpu, actor.thread);
  const auto certain = std::ranges::find_if(calls, &CallLog::Candidate::certain);
  if (certain == calls.end()) return {};
  return await_call_return(recorder_.import(certain->call, actor));
}

Result<> Tracer::settle_import(unsigned vcpu, const Actor& actor) {
  // Before the step: it runs the callee's first instruction, which may move the stack.
  const auto calls = recorder_.calls().imports_at(vcpu, actor.thread);
  const auto stop = SWAT_TRY(stepper_.step(vcpu));
  if (!stop.watch) return {};
  SWAT_CHECK(await_call_return(recorder_.import(pick(calls, stop.watch), actor)));
  // The first instruction was the last, too.
  return settle_end_of_call(vcpu, actor);
}

Result<> Tracer::settle_load(unsigned vcpu) {
  const auto stop = SWAT_TRY(stepper_.step(vcpu));
  if (!stop.watch) return {};
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  // Of the instruction that was stepped: what it hit will not be reported a second time.
  if (may_have_called(vcpu)) {
    const auto call = pick(recorder_.calls().imports_at(vcpu, actor.thread), stop.watch);
    SWAT_CHECK(await_call_return(recorder_.import(call, actor)));
  }
  return settle_end_of_call(vcpu, actor);
}

Result<> Tracer::settle_end_of_call(unsigned vcpu, const Actor& actor) {
  if (const auto place = recorder_.call_returns().place_of_return(vcpu))
    recorder_.call_returns().leave(actor, *place);
  return recorder_.call_returns().take_out_idle();
}

}  // namespace swat::daemon
