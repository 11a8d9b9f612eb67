#include "daemon/watch_stops_before.hpp"

#include <algorithm>

#include "daemon/settle_others.hpp"
#include "daemon/vcpu_writes.hpp"

namespace swat::daemon {
namespace {

bool covers(const Trap& trap, const VaRange& read) {
  return read.start < trap.point.at + trap.point.size_bytes && trap.point.at < read.end;
}

}  // namespace

// --- What is about to be read

const EntryTrap* WatchStopsBefore::entry_ahead(unsigned vcpu) {
  StoppedGuest& guest = with_.vm.guest();
  return guest.in_kernel(vcpu) ? with_.calibration.entries().before(guest.pc(vcpu)) : nullptr;
}

std::optional<os::DispatchedSyscall> WatchStopsBefore::syscall_ahead(unsigned vcpu) {
  if (!with_.vm.guest().in_kernel(vcpu)) return {};
  const Va pc = with_.vm.guest().pc(vcpu);
  for (const Trap& trap : with_.calibration.entries().table_watches()) {
    const os::SyscallDispatch& dispatch = *std::get<DispatchTrap>(trap.what).dispatch;
    if (std::ranges::find(dispatch.loads, pc, &os::SyscallDispatch::Load::at) ==
        dispatch.loads.end()) {
      continue;
    }
    const auto call = with_.model.dispatched(vcpu, dispatch);
    if (!call) continue;
    if (covers(trap, dispatch.slot(call->number))) return *call;
  }
  return {};
}

std::optional<ReturnLog::Watched> WatchStopsBefore::result_ahead(unsigned vcpu) {
  const ReturnLog& returns = with_.recorder.returns();
  StoppedGuest& guest = with_.vm.guest();
  if (!returns.is_on() || !guest.in_kernel(vcpu)) return {};
  VcpuWrites registers(with_.vm.session(), guest, vcpu);
  const auto read = os::read_of_slot(guest.architecture(), with_.model.kernel_memory(), registers,
                                     guest.pc(vcpu));
  if (!read) return {};
  const unsigned word = with_.model.word_bytes();
  for (std::uint64_t at = 0; at < read->size_bytes; at += word) {
    if (const auto watched = returns.watched(read->at + at)) return watched;
  }
  return {};
}

void WatchStopsBefore::before_result(unsigned vcpu, const ReturnLog::Watched& watched,
                                     const Actor& actor) {
  ReturnLog& returns = with_.recorder.returns();
  if (!returns.concerns(watched, actor)) {
    with_.recorder.count_idle();
  } else if (returns.is_return(watched, vcpu)) {
    returns.leave_before_read(actor, watched);
  } else {
    with_.recorder.count_idle();
    if (const auto word = returns.value(watched)) returns.peeked(actor, *word);
  }
}

// --- The vCPU that QEMU names

Result<NextStop> WatchStopsBefore::on_watch(unsigned vcpu, Va watch) {
  Recorder& recorder = with_.recorder;
  const Actor actor = SWAT_TRY(recorder.meet(vcpu));
  if (const EntryTrap* entry = entry_ahead(vcpu)) {
    SWAT_CHECK(recorder.syscall(*entry, actor));
  } else if (const auto call = syscall_ahead(vcpu)) {
    SWAT_CHECK(recorder.syscall(*call, actor));
  } else if (const auto result = recorder.returns().watched(watch)) {
    if (!recorder.returns().concerns(*result, actor)) {
      SWAT_CHECK(with_.vm.session().change(recorder.returns().after_idle_read(*result, actor)));
    }
    before_result(vcpu, *result, actor);
  } else if (const auto slot = with_.imports.read_ahead(vcpu, actor.thread)) {
    // Returns of calls are not to be had here: nothing changes.
    (void)recorder.import(recorder.calls().import_of(*slot, actor.thread), actor);
  } else {
    recorder.count_idle();
  }
  return runs_on(stepper_.pass(vcpu, watch, actor.thread));
}

// --- The others

Result<> WatchStopsBefore::settle(const StopCause& cause) {
  if (cause.vcpu && with_.vm.session().threads().size() == 1) return {};
  return settle_others(with_, cause.vcpu, [&](unsigned vcpu) { return settle_one(vcpu); });
}

Result<bool> WatchStopsBefore::settle_one(unsigned vcpu) {
  if (SWAT_TRY(settle_entry(vcpu))) return true;
  if (SWAT_TRY(settle_result(vcpu))) return true;
  return settle_import(vcpu);
}

Result<bool> WatchStopsBefore::settle_entry(unsigned vcpu) {
  const EntryTrap* entry = entry_ahead(vcpu);
  const auto call = entry == nullptr ? syscall_ahead(vcpu) : std::nullopt;
  if (entry == nullptr && !call) return false;
  const Actor actor = SWAT_TRY(with_.recorder.meet(vcpu));
  SWAT_CHECK(entry != nullptr ? with_.recorder.syscall(*entry, actor)
                              : with_.recorder.syscall(*call, actor));
  SWAT_CHECK(stepper_.move_past(vcpu, actor.thread));
  return true;
}

Result<bool> WatchStopsBefore::settle_result(unsigned vcpu) {
  const auto result = result_ahead(vcpu);
  if (!result) return false;
  const Actor actor = SWAT_TRY(with_.recorder.meet(vcpu));
  before_result(vcpu, *result, actor);
  SWAT_CHECK(stepper_.move_past(vcpu, actor.thread));
  return true;
}

Result<bool> WatchStopsBefore::settle_import(unsigned vcpu) {
  const auto slot = with_.imports.read_ahead(vcpu);
  if (!slot) return false;
  const Actor actor = SWAT_TRY(with_.recorder.meet(vcpu));
  auto call = with_.recorder.calls().import_of(*slot, actor.thread);
  (void)with_.recorder.import(std::move(call), actor);  // as in on_watch()
  SWAT_CHECK(stepper_.move_past(vcpu, actor.thread));
  return true;
}

}  // namespace swat::daemon
