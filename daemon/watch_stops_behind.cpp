#include "daemon/watch_stops_behind.hpp"

namespace swat::daemon {

// When the stop is one of our own it may have overtaken the vCPU's hit. The vCPU may also stand
// where a stop was reported, and not have run since: then a step reports no hit.
Result<> WatchStopsBehind::settle(const StopCause& cause) {
  if (!cause.is_own) return {};
  if (SWAT_TRY(returns_.settle_call(0))) return {};
  gdbproto::Session& session = with_.vm.session();
  StoppedGuest& guest = with_.vm.guest();
  const EntryTrap* entry = with_.calibration.entries().behind(0, guest.pc(0), false);
  if (entry == nullptr) return {};
  const auto registers = SWAT_TRY(session.registers(session.threads()[0]));
  const Actor actor = SWAT_TRY(with_.recorder.meet(0));
  const auto stop = SWAT_TRY(with_.stepper.step(0));
  if (!stop.watch) return {};
  with_.recorder.log_calls();
  guest.remember(0, registers);
  SWAT_CHECK(with_.recorder.syscall(*entry, actor));
  guest.forget();
  return {};
}

Result<NextStop> WatchStopsBehind::on_watch(unsigned vcpu, Va watch) {
  if (SWAT_TRY(distant_.on_watch(vcpu, with_.traps.at_watch(watch)))) return NextStop{};
  return runs_on(on_watch_of(SWAT_TRY(with_.recorder.meet(vcpu)), watch));
}

Result<> WatchStopsBehind::on_watch_of(const Actor& actor, Va watch) {
  const unsigned vcpu = actor.scene.vcpu;
  if (const auto result = with_.recorder.returns().watched(watch)) {
    return returns_.on_result_watch(vcpu, *result, actor);
  }
  if (with_.recorder.call_returns().is_watched(watch)) {
    return returns_.on_stack_watch(vcpu, watch, actor);
  }
  const auto traps = with_.traps.at_watch(watch);  // others, perhaps, than before it was met
  // Removed a moment ago, or left behind by another client.
  if (traps.empty()) return with_.recorder.pass_over();
  if (std::holds_alternative<ImportTrap>(traps.front()->what)) return on_import(actor, watch);
  const auto* dispatch = std::get_if<DispatchTrap>(&traps.front()->what);
  return dispatch != nullptr ? on_dispatch(actor, *dispatch) : on_entry(actor, traps);
}

Result<> WatchStopsBehind::on_entry(const Actor& actor, const std::vector<const Trap*>& traps) {
  const unsigned vcpu = actor.scene.vcpu;
  gdbproto::Session& session = with_.vm.session();
  const auto* first = std::get_if<EntryTrap>(&traps.front()->what);
  const bool in_one_write = first != nullptr && with_.recorder.may_run_from_entry(*first->abi);
  if (in_one_write) {
    const auto changes = with_.recorder.returns().at_entry(actor);
    with_.vm.guest().remember(
        vcpu, SWAT_TRY(session.registers_and_resume(session.threads()[vcpu], changes)));
  }
  with_.recorder.log_calls();
  if (const EntryTrap* entry = find_entry(traps, with_.vm.guest().pc(vcpu))) {
    SWAT_CHECK(with_.recorder.syscall(*entry, actor));
  } else {
    with_.recorder.count_idle();
  }
  return in_one_write ? Result<>() : session.resume();
}

Result<> WatchStopsBehind::on_dispatch(const Actor& actor, const DispatchTrap& trap) {
  gdbproto::Session& session = with_.vm.session();
  const auto call = with_.model.dispatched(actor.scene.vcpu, *trap.dispatch);
  if (!call && call.error().code == Errc::kDisconnected) return tl::unexpected(call.error());
  if (!call) return with_.recorder.pass_over();
  if (!with_.recorder.returns().is_on() && !with_.model.follows_calls()) {
    SWAT_CHECK(session.resume());
  }
  SWAT_CHECK(with_.recorder.syscall(*call, actor));
  return session.running() ? Result<>() : session.resume();
}

Result<> WatchStopsBehind::on_import(const Actor& actor, Va watch) {
  gdbproto::Session& session = with_.vm.session();
  auto call = with_.recorder.calls().import_at(actor.scene.vcpu, watch, actor.thread);
  if (with_.recorder.call_returns().is_on()) {
    return session.resume(with_.recorder.import(std::move(call), actor));
  }
  SWAT_CHECK(session.resume());
  (void)with_.recorder.import(std::move(call), actor);  // without returns nothing changes
  return {};
}

}  // namespace swat::daemon
