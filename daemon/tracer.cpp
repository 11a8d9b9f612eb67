#include "daemon/tracer.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "osmodels/linux/kernel_locator.hpp"

namespace swat::daemon {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSlice{100};    // how late a deadline may be noticed in an idle guest
constexpr milliseconds kLogSlice{10};  // how late the execution log may be looked after
constexpr milliseconds kOwnStopWait{300};
constexpr std::uint8_t kSignalInterrupt = 2;

bool is_pause(const gdbproto::StopReply& stop) {
  return stop.signal == kSignalInterrupt && !stop.watch;
}

}  // namespace

Tracer::Tracer(Vm& vm, os::OsModel& model, gdbproto::IoLoop& loop, EventLog& log, Planner planner,
               TraceOptions options)
    : vm_(vm),
      model_(model),
      loop_(loop),
      log_(log),
      planner_(std::move(planner)),
      options_(std::move(options)),
      processes_(model, options_.files),
      traps_(vm.session()),
      module_traps_(processes_, traps_, log,
                    options_.selection.calls.is_none() ? nullptr : planner_.imports(),
                    options_.breaks, options_.selection.calls,
                    vm.guest().machine().least_word_bytes),
      life_(model, processes_, module_traps_, log, options_.selection),
      calibration_(traps_, vm.guest(), model, log),
      recorder_({vm, model, processes_, traps_, life_, calibration_, log, options_}),
      stepper_(vm, model, recorder_.calls()),
      access_stepper_(vm, stepper_, traps_, recorder_.returns()),
      distant_(vm, model, processes_, traps_, life_, calibration_, recorder_),
      silent_(vm, traps_) {}

Result<> Tracer::run() {
  if (auto armed = arm(); !armed) {
    SWAT_CHECK(disarm());
    return armed;
  }
  end_ = options_.duration ? Clock::now() + *options_.duration : Clock::time_point::max();
  SWAT_CHECK(vm_.session().resume());
  auto traced = loop_until_done();
  loop_.acknowledge_stop();
  recorder_.finish();
  const bool is_lost = !traced && traced.error().code == Errc::kDisconnected;
  const Result<> stopped = is_lost ? Result<>{} : stop_guest();
  const auto flushed = log_.flush(true);
  if (is_lost) return traced;
  SWAT_CHECK(stopped);
  SWAT_CHECK(flushed);
  if (traced && is_parked()) return disarm();
  return traced;
}

Result<> Tracer::disarm() {
  SWAT_CHECK(recorder_.disarm());
  return traps_.clear();
}

Result<> Tracer::arm() {
  SWAT_CHECK(life_.list());
  SWAT_CHECK(module_traps_.within_budget());
  auto plans = SWAT_TRY(arm_entries());
  constexpr unsigned kPageFault = 14;
  if (const auto tables = vm_.guest().x86_tables(0)) {
    const auto gate = os::read_idt_gate(model_.kernel_memory(), tables->idt_base, kPageFault,
                                        model_.word_bytes());
    if (gate) page_fault_entry_ = gate->target;
  }
  SWAT_CHECK(recorder_.begin(planner_, page_fault_entry_));
  spdlog::info("{} processes, {} points", life_.count(), traps_.size());
  const bool is_silent = std::ranges::all_of(plans, &EntryPlan::is_silent);
  // Beside the execution log a breakpoint would be an entry more than it tells of: then no proof.
  const bool is_logging = recorder_.exec_log() != nullptr;
  SWAT_CHECK(calibration_.begin(std::move(plans), !is_logging, Clock::now()));
  if (is_silent && !is_logging && !traps_.has_watches()) silent_.begin();
  return {};
}

Result<std::vector<EntryPlan>> Tracer::arm_entries() {
  auto plans = SWAT_TRY(planner_.entries(vm_.guest(), model_, options_.selection));
  for (EntryPlan& plan : plans) {
    auto added = traps_.add(plan.traps);
    while (!added && added.error().code == Errc::kUnsupported &&
           plan.fall_back(added.error().what)) {
      added = traps_.add(plan.traps);
    }
    SWAT_CHECK(added);
    spdlog::info("{} entry at {:x} ({}): {}", os::linux_os::find_abi(plan.entry.kind)->mnemonic,
                 plan.entry.address.value, plan.entry.found_by, plan.to_string());
  }
  return plans;
}

bool Tracer::is_done() const {
  return loop_.stop_requested() || Clock::now() >= end_ ||
         (options_.max_events && log_.traced() >= *options_.max_events);
}

Result<> Tracer::loop_until_done() {
  auto next_flush = Clock::now() + kSlice;
  while (!is_done() && !is_parked()) {
    const auto stop = vm_.session().wait_stop(recorder_.exec_log() != nullptr ? kLogSlice : kSlice);
    if (stop) {
      SWAT_CHECK(handle(*stop));
    } else if (stop.error().code == Errc::kInterrupted) {
      return {};
    } else if (stop.error().code != Errc::kTimeout) {
      return tl::unexpected(stop.error());
    } else {
      SWAT_CHECK(on_no_stop());
    }
    if (!vm_.session().runs_silently()) vm_.close_monitor();
    if (const auto now = Clock::now(); now >= next_flush) {
      SWAT_CHECK(log_.flush());
      next_flush = now + kSlice;
      if (loop_.reload_requested() && vm_.session().running()) SWAT_CHECK(request_own_stop());
    }
  }
  return {};
}

bool Tracer::is_parked() const { return loop_.reload_requested() && !vm_.session().running(); }

Result<> Tracer::on_no_stop() {
  ExecLog* const log = recorder_.exec_log();
  const bool is_wanted = (log != nullptr && log->wants_stop()) || distant_.is_waiting() ||
                         calibration_.is_due(Clock::now());
  return is_wanted ? request_own_stop() : Result<>();
}

Result<> Tracer::request_own_stop() {
  if (interrupted_) return {};
  recorder_.let_flow();
  interrupted_ = true;
  return vm_.session().interrupt();
}

// Best at a stop of our own: then no vCPU has a hit that QEMU has not told us of, and removing the
// points leaves nothing dangling in it (facts/qemu.md 0.2). An idle guest has to be interrupted.
Result<> Tracer::stop_guest() {
  if (vm_.session().running()) SWAT_CHECK(wait_for_stop());
  vm_.guest().forget();
  model_.forget();
  SWAT_CHECK(distant_.attend());
  ExecLog* const log = recorder_.exec_log();
  if (log == nullptr) return {};
  {
    const ExecLog::Stop at(log);
    SWAT_CHECK(recorder_.meet_all());
  }
  return log->finish();
}

Result<> Tracer::wait_for_stop() {
  recorder_.let_flow();
  auto stop = vm_.session().wait_stop(kOwnStopWait);
  if (!stop && stop.error().code == Errc::kTimeout) {
    SWAT_CHECK(vm_.session().interrupt());
    stop = vm_.session().wait_stop(gdbproto::Session::kReplyTimeout);
  }
  if (!stop) return tl::unexpected(stop.error());
  if (stop->exited) return fail(Errc::kDisconnected, "QEMU has exited");
  return {};
}

Result<> Tracer::handle(const gdbproto::StopReply& stop) {
  if (stop.exited) return fail(Errc::kDisconnected, "QEMU has exited");
  const bool is_own = std::exchange(interrupted_, false) && is_pause(stop);
  {
    const ExecLog::Stop until_it_runs(recorder_.exec_log());
    auto next = SWAT_TRY(dispatch(stop, is_own));
    while (next) {
      const ExecLog::Stop at(recorder_.exec_log());
      next = SWAT_TRY(dispatch(*next, false));
    }
  }
  return is_pause(stop) && !is_own ? on_foreign_stop() : Result<>{};
}

Result<NextStop> Tracer::dispatch(const gdbproto::StopReply& stop, bool is_own) {
  vm_.guest().forget();
  model_.forget();
  const StopCause cause = SWAT_TRY(cause_of(stop, is_own));
  if (!silent_.is_silent(stop)) {
    SWAT_CHECK(distant_.attend());
    SWAT_CHECK(settle(cause));
  }
  if (calibration_.is_due(Clock::now())) SWAT_CHECK(calibration_.end());
  if (is_own) return runs_on(on_own_stop());
  if (is_pause(stop)) return NextStop{};
  if (!cause.vcpu) {
    SWAT_CHECK(silent_.on_strange_stop());
    return runs_on(recorder_.pass_over());
  }
  return stop.watch ? on_watch(*cause.vcpu, *stop.watch) : on_breakpoint(*cause.vcpu);
}

Result<Tracer::StopCause> Tracer::cause_of(const gdbproto::StopReply& stop, bool is_own) {
  if (silent_.is_silent(stop) && !is_pause(stop)) return StopCause{SWAT_TRY(silent_.find())};
  const unsigned vcpu = stop.thread ? stop.thread->thread - 1 : 0;
  if (vcpu >= vm_.session().threads().size()) {
    return fail(Errc::kProtocol, "stop of a vCPU that there is not");
  }
  if (is_pause(stop)) return StopCause{std::nullopt, is_own};
  return StopCause{vcpu};
}

Result<> Tracer::settle(const StopCause& cause) {
  if (vm_.guest().machine().stops_before_access) return settle_before(cause.vcpu);
  if (is_smp()) return settle_others(cause.vcpu);
  return cause.is_own ? settle_only() : Result<>();
}

// For what the execution log has kept, because the time to prove traps is up, or for good.
Result<> Tracer::on_own_stop() {
  if (recorder_.exec_log() != nullptr) SWAT_CHECK(recorder_.meet_all());
  return loop_.reload_requested() ? Result<>() : vm_.session().resume();
}

// Somebody else has paused the VM (QMP `stop`). It is theirs to resume; what we can do is to be
// there when it runs again.
Result<> Tracer::on_foreign_stop() {
  recorder_.let_flow();
  spdlog::warn("the VM was paused by someone else; tracing goes on when it is resumed");
  while (!is_done()) {
    const auto resumed = vm_.wait_until_resumed(kSlice);
    if (resumed) {
      log_.write({}, GapEvent{0, "the VM was paused and resumed by someone else"});
      return vm_.session().resume();
    }
    if (resumed.error().code == Errc::kInterrupted) return {};
    if (resumed.error().code != Errc::kTimeout) return tl::unexpected(resumed.error());
  }
  return {};
}

Result<NextStop> Tracer::on_watch(unsigned vcpu, Va watch) {
  if (vm_.guest().machine().stops_before_access) return runs_on(on_watch_before(vcpu, watch));
  if (!is_smp() && SWAT_TRY(distant_.on_watch(vcpu, traps_.at_watch(watch)))) return NextStop{};
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  return is_smp() ? on_watch_of_several(vcpu, watch, actor)
                  : runs_on(on_watch_of_one(vcpu, watch, actor));
}

Result<> Tracer::on_watch_of_one(unsigned vcpu, Va watch, const Actor& actor) {
  if (const auto result = recorder_.returns().watched(watch))
    return on_return_watch(vcpu, *result, actor);
  if (recorder_.call_returns().is_watched(watch)) return on_stack_watch(vcpu, watch, actor);
  const auto traps = traps_.at_watch(watch);
  if (traps.empty())
    return recorder_.pass_over();  // removed a moment ago, or left behind by another client
  if (std::holds_alternative<ImportTrap>(traps.front()->what)) {
    return on_import_watch(vcpu, watch, actor);
  }
  if (const auto* dispatch = std::get_if<DispatchTrap>(&traps.front()->what)) {
    return on_dispatch_watch(vcpu, *dispatch, actor);
  }
  return on_entry_watch(vcpu, traps, actor);
}

Result<> Tracer::on_entry_watch(unsigned vcpu, const std::vector<const Trap*>& traps,
                                const Actor& actor) {
  const auto id = vm_.session().threads()[vcpu];
  const bool in_one_write = recorder_.may_run_from_entry();
  if (in_one_write) {
    const auto changes = recorder_.returns().at_entry(actor);
    vm_.guest().remember(vcpu, SWAT_TRY(vm_.session().registers_and_resume(id, changes)));
  }
  recorder_.log_calls();
  if (const EntryTrap* entry = find_entry(traps, pc_of(vcpu))) {
    SWAT_CHECK(recorder_.syscall(*entry, actor));
  } else {
    recorder_.count_idle();
  }
  return in_one_write ? Result<>() : vm_.session().resume();
}

Result<> Tracer::on_dispatch_watch(unsigned vcpu, const DispatchTrap& trap, const Actor& actor) {
  const auto call = model_.dispatched(vcpu, *trap.dispatch);
  if (!call && call.error().code == Errc::kDisconnected) return tl::unexpected(call.error());
  if (!call) return recorder_.pass_over();
  if (!recorder_.returns().is_on()) SWAT_CHECK(vm_.session().resume());
  SWAT_CHECK(recorder_.syscall(*call, actor));
  return vm_.session().running() ? Result<>() : vm_.session().resume();
}

Result<> Tracer::on_import_watch(unsigned vcpu, Va watch, const Actor& actor) {
  std::optional<Call> call = recorder_.calls().import_at(vcpu, watch, actor.thread);
  if (recorder_.call_returns().is_on())
    return vm_.session().resume(recorder_.import(std::move(call), actor));
  SWAT_CHECK(vm_.session().resume());
  (void)recorder_.import(std::move(call), actor);  // without returns nothing changes
  return {};
}

Result<NextStop> Tracer::on_breakpoint(unsigned vcpu) {
  const Va pc = pc_of(vcpu);
  std::vector<Trap> hits = traps_.meanings_at_breakpoint(pc);  // recorder_.meet() may move traps
  if (hits.empty()) {  // one that was about to be removed would be hit for ever
    SWAT_CHECK(settle_return(vcpu));
    SWAT_CHECK(traps_.flush_removals());
    return runs_on(recorder_.pass_over());
  }
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  SWAT_CHECK(recorder_.breakpoint(std::move(hits), pc, actor));
  return stepper_.step_over(vcpu, actor.thread);
}

}  // namespace swat::daemon
