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
      syscalls_(vm, model, processes_, life_, log, options_.selection.syscalls),
      calls_(vm, model, processes_, traps_, log, options_.selection.calls),
      returns_(vm, model, life_, log),
      call_returns_(vm, model, life_, log),
      calibration_(traps_, vm.guest(), model, log),
      stepper_(vm, model, calls_),
      access_stepper_(vm, stepper_, traps_, returns_),
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
  returns_.finish();
  call_returns_.finish();
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
  SWAT_CHECK(returns_.disarm());
  SWAT_CHECK(call_returns_.disarm());
  return traps_.clear();
}

Result<> Tracer::arm() {
  SWAT_CHECK(life_.list());
  SWAT_CHECK(module_traps_.within_budget());
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
  constexpr unsigned kPageFault = 14;
  if (const auto tables = vm_.guest().x86_tables(0)) {
    const auto gate = os::read_idt_gate(model_.kernel_memory(), tables->idt_base, kPageFault,
                                        model_.word_bytes());
    if (gate) page_fault_entry_ = gate->target;
  }
  if (options_.returns) SWAT_CHECK(traps_.add(SWAT_TRY(returns_.begin(planner_))));
  if (options_.call_returns) SWAT_CHECK(call_returns_.begin(planner_, page_fault_entry_));
  if (planner_.uses_exec_log() && !options_.selection.calls.is_none()) {
    SWAT_CHECK(start_exec_log());
  } else if (planner_.imports() == nullptr) {
    spdlog::info("calls: only of functions named with --break");
  }
  spdlog::info("{} processes, {} points", life_.count(), traps_.size());
  const bool is_silent = std::ranges::all_of(plans, &EntryPlan::is_silent);
  SWAT_CHECK(begin_proof(std::move(plans)));
  if (is_silent && exec_log_ == nullptr && !traps_.has_watches()) silent_.begin();
  return {};
}

Result<> Tracer::start_exec_log() {
  if (vm_.guest().architecture() != os::Architecture::kX86_64) {
    return fail(Errc::kUnsupported, "calls in the execution log are told on x86_64 only, yet");
  }
  std::vector<Va> entries;
  for (const os::SyscallEntry& entry : SWAT_TRY(model_.syscall_entries())) {
    entries.push_back(entry.address);
  }
  exec_log_ = SWAT_TRY(
      ExecLog::start({vm_, model_, processes_, life_, traps_, log_, options_.selection.calls},
                     std::move(entries)));
  spdlog::info("calls: execution log, of every module in every process");
  return {};
}

bool Tracer::is_done() const {
  return loop_.stop_requested() || Clock::now() >= end_ ||
         (options_.max_events && log_.traced() >= *options_.max_events);
}

Result<> Tracer::loop_until_done() {
  auto next_flush = Clock::now() + kSlice;
  while (!is_done() && !is_parked()) {
    const auto stop = vm_.session().wait_stop(exec_log_ ? kLogSlice : kSlice);
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
  const bool logs_calls = exec_log_ != nullptr && exec_log_->wants_stop();
  const bool is_wanted = logs_calls || unattended_ || calibration_.is_due(Clock::now());
  return is_wanted ? request_own_stop() : Result<>();
}

Result<> Tracer::request_own_stop() {
  if (interrupted_) return {};
  if (exec_log_ != nullptr) exec_log_->let_flow();
  interrupted_ = true;
  return vm_.session().interrupt();
}

// Best at a stop of our own: then no vCPU has a hit that QEMU has not told us of, and removing the
// points leaves nothing dangling in it (facts/qemu.md 0.2). An idle guest has to be interrupted.
Result<> Tracer::stop_guest() {
  if (vm_.session().running()) SWAT_CHECK(wait_for_stop());
  vm_.guest().forget();
  model_.forget();
  SWAT_CHECK(attend());
  if (exec_log_ == nullptr) return {};
  {
    const ExecLog::Stop at(exec_log_.get());
    SWAT_CHECK(meet_all());
  }
  return exec_log_->finish();
}

Result<> Tracer::wait_for_stop() {
  if (exec_log_ != nullptr) exec_log_->let_flow();
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
    const ExecLog::Stop until_it_runs(exec_log_.get());
    auto next = SWAT_TRY(dispatch(stop, is_own));
    while (next) {
      const ExecLog::Stop at(exec_log_.get());
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
    SWAT_CHECK(attend());
    SWAT_CHECK(settle(cause));
  }
  if (calibration_.is_due(Clock::now())) SWAT_CHECK(calibration_.end());
  if (is_own) return runs_on(on_own_stop());
  if (is_pause(stop)) return NextStop{};
  if (!cause.vcpu) {
    SWAT_CHECK(silent_.on_strange_stop());
    return runs_on(pass_over());
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
  if (exec_log_ != nullptr) SWAT_CHECK(meet_all());
  return loop_.reload_requested() ? Result<>() : vm_.session().resume();
}

// Somebody else has paused the VM (QMP `stop`). It is theirs to resume; what we can do is to be
// there when it runs again.
Result<> Tracer::on_foreign_stop() {
  if (exec_log_ != nullptr) exec_log_->let_flow();
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

Result<Actor> Tracer::meet(unsigned vcpu) {
  Actor actor = SWAT_TRY(life_.meet(vcpu));
  SWAT_CHECK(traps_.flush_removals());
  if (exec_log_ != nullptr) SWAT_CHECK(exec_log_->resolve(actor));
  returns_.meet(actor);
  call_returns_.meet(actor);
  return actor;
}

void Tracer::log_calls() {
  if (exec_log_ != nullptr) exec_log_->write();
}

Result<> Tracer::meet_all() {
  for (unsigned vcpu = 0; vcpu < vm_.session().threads().size(); ++vcpu) SWAT_CHECK(meet(vcpu));
  return {};
}

Result<> Tracer::pass_over() {
  ++idle_stops_;
  return vm_.session().resume();
}

Result<NextStop> Tracer::on_watch(unsigned vcpu, Va watch) {
  if (vm_.guest().machine().stops_before_access) return runs_on(on_watch_before(vcpu, watch));
  if (SWAT_TRY(on_distant_entry(vcpu, traps_.at_watch(watch)))) return NextStop{};
  const Actor actor = SWAT_TRY(meet(vcpu));
  return is_smp() ? on_watch_of_several(vcpu, watch, actor)
                  : runs_on(on_watch_of_one(vcpu, watch, actor));
}

Result<> Tracer::on_watch_of_one(unsigned vcpu, Va watch, const Actor& actor) {
  if (const auto result = returns_.watched(watch)) return on_return_watch(vcpu, *result, actor);
  if (call_returns_.is_watched(watch)) return on_stack_watch(vcpu, watch, actor);
  const auto traps = traps_.at_watch(watch);
  if (traps.empty()) return pass_over();  // removed a moment ago, or left behind by another client
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
  // The return of a call that is not selected is not to be waited for: know first which it is.
  const bool in_one_write = !returns_.is_on() || options_.selection.syscalls.is_all();
  if (in_one_write) {
    const auto changes = returns_.at_entry(actor);
    vm_.guest().remember(vcpu, SWAT_TRY(vm_.session().registers_and_resume(id, changes)));
  }
  log_calls();
  const EntryTrap* entry = find_entry(traps, pc_of(vcpu));
  const bool is_event = entry != nullptr && SWAT_TRY(log_syscall(*entry, actor));
  if (!is_event) ++idle_stops_;
  return in_one_write ? Result<>() : vm_.session().resume();
}

Result<bool> Tracer::await_return(const std::optional<LoggedCall>& logged, const Actor& actor) {
  if (!logged) return false;
  if (!vm_.session().running()) SWAT_CHECK(vm_.session().change(returns_.at_entry(actor)));
  returns_.enter(*logged, actor);
  return true;
}

Result<> Tracer::on_dispatch_watch(unsigned vcpu, const DispatchTrap& trap, const Actor& actor) {
  const auto call = model_.dispatched(vcpu, *trap.dispatch);
  if (!call && call.error().code == Errc::kDisconnected) return tl::unexpected(call.error());
  if (!call) return pass_over();
  if (!returns_.is_on()) SWAT_CHECK(vm_.session().resume());
  if (!SWAT_TRY(log_syscall(*call, actor))) ++idle_stops_;
  return vm_.session().running() ? Result<>() : vm_.session().resume();
}

Result<> Tracer::on_import_watch(unsigned vcpu, Va watch, const Actor& actor) {
  std::optional<Call> call = calls_.import_at(vcpu, watch, actor.thread);
  if (call_returns_.is_on()) return vm_.session().resume(log_import(std::move(call), actor));
  SWAT_CHECK(vm_.session().resume());
  (void)log_import(std::move(call), actor);  // without returns nothing changes
  return {};
}

gdbproto::PointChanges Tracer::log_import(std::optional<Call> call, const Actor& actor) {
  const auto logged = call ? calls_.import(*std::move(call), actor) : std::nullopt;
  if (!logged) ++idle_stops_;
  return logged ? call_returns_.enter(*logged, actor) : gdbproto::PointChanges{};
}

Result<NextStop> Tracer::on_breakpoint(unsigned vcpu) {
  const Va pc = pc_of(vcpu);
  std::vector<Trap> hits = traps_.meanings_at_breakpoint(pc);  // meet() may move traps
  if (hits.empty()) {  // one that was about to be removed would be hit for ever
    SWAT_CHECK(settle_return(vcpu));
    SWAT_CHECK(traps_.flush_removals());
    return runs_on(pass_over());
  }
  const Actor actor = SWAT_TRY(meet(vcpu));
  log_calls();
  SWAT_CHECK(prove(hits, pc, actor));
  bool is_event = false;
  for (auto hit = hits.begin(); hit != hits.end() && !is_event; ++hit) {
    is_event = SWAT_TRY(log_breakpoint(*hit, pc, actor));
  }
  if (!is_event) ++idle_stops_;
  return stepper_.step_over(vcpu, actor.thread);
}

Result<bool> Tracer::log_breakpoint(const Trap& trap, Va pc, const Actor& actor) {
  if (const auto* entry = std::get_if<EntryTrap>(&trap.what)) return log_syscall(*entry, actor);
  if (std::holds_alternative<ReturnTrap>(trap.what)) return returns_.at_exit(actor);
  if (const auto* function = std::get_if<FunctionTrap>(&trap.what)) {
    const auto logged = calls_.function(*function, pc, actor);
    if (logged) SWAT_CHECK(vm_.session().change(call_returns_.enter(*logged, actor)));
    return logged.has_value();
  }
  const auto* dispatch = std::get_if<DispatchTrap>(&trap.what);
  if (dispatch == nullptr) return false;
  const auto call = model_.dispatched(actor.scene.vcpu, *dispatch->dispatch);
  return call ? log_syscall(*call, actor) : Result<bool>(false);
}

}  // namespace swat::daemon
