#include "daemon/tracer.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "daemon/watch_stops_before.hpp"
#include "daemon/watch_stops_behind.hpp"
#include "daemon/watch_stops_several.hpp"
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

// Where the kernel begins to handle page faults, on x86, if that is known.
std::optional<Va> find_page_fault_entry(StoppedGuest& guest, os::OsModel& model) {
  constexpr unsigned kPageFault = 14;
  const auto tables = guest.x86_tables(0);
  if (!tables) return {};
  const auto gate =
      os::read_idt_gate(model.kernel_memory(), tables->idt_base, kPageFault, model.word_bytes());
  return gate ? std::optional(gate->target) : std::nullopt;
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
      page_fault_entry_(find_page_fault_entry(vm.guest(), model)),
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
      imports_(vm, model, processes_, traps_, planner_.imports() != nullptr, page_fault_entry_),
      distant_(vm, model, processes_, traps_, life_, calibration_, recorder_),
      silent_(vm, traps_),
      watches_(make_watch_stops()) {}

std::unique_ptr<WatchStops> Tracer::make_watch_stops() {
  const WatchStops::Context with{vm_, model_, traps_, calibration_, recorder_, stepper_, imports_};
  if (vm_.guest().machine().stops_before_access) return std::make_unique<WatchStopsBefore>(with);
  if (vm_.session().threads().size() > 1) return std::make_unique<WatchStopsSeveral>(with);
  return std::make_unique<WatchStopsBehind>(with, distant_);
}

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
    spdlog::info("{} entry at {:x} ({}): {}", os::find_abi(plan.entry.kind)->mnemonic,
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
    SWAT_CHECK(watches_->settle(cause));
  }
  if (calibration_.is_due(Clock::now())) SWAT_CHECK(calibration_.end());
  if (is_own) return runs_on(on_own_stop());
  if (is_pause(stop)) return NextStop{};
  if (!cause.vcpu) {
    SWAT_CHECK(silent_.on_strange_stop());
    return runs_on(recorder_.pass_over());
  }
  return stop.watch ? watches_->on_watch(*cause.vcpu, *stop.watch) : on_breakpoint(*cause.vcpu);
}

Result<StopCause> Tracer::cause_of(const gdbproto::StopReply& stop, bool is_own) {
  if (silent_.is_silent(stop) && !is_pause(stop)) return StopCause{SWAT_TRY(silent_.find())};
  const unsigned vcpu = stop.thread ? stop.thread->thread - 1 : 0;
  if (vcpu >= vm_.session().threads().size()) {
    return fail(Errc::kProtocol, "stop of a vCPU that there is not");
  }
  if (is_pause(stop)) return StopCause{std::nullopt, is_own};
  return StopCause{vcpu};
}

Result<NextStop> Tracer::on_breakpoint(unsigned vcpu) {
  const Va pc = vm_.guest().pc(vcpu);
  std::vector<Trap> hits = traps_.meanings_at_breakpoint(pc);  // meet() may move traps
  if (hits.empty()) {  // one that was about to be removed would be hit for ever
    SWAT_CHECK(watches_->on_unnamed_stop(vcpu));
    SWAT_CHECK(traps_.flush_removals());
    return runs_on(recorder_.pass_over());
  }
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  SWAT_CHECK(recorder_.breakpoint(std::move(hits), pc, actor));
  return stepper_.step_over(vcpu, actor.thread);
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

}  // namespace swat::daemon
