// Stops at breakpoints that QEMU reports to nobody (gdbproto/silent_stops.hpp): 8.1 to 10.1 keeps
// its translated code then, which makes such a stop some ten times cheaper. Only for traces that
// have no watchpoint at all; Session sees to it that the first one ends it.
//
// Nobody says which vCPU has stopped, so the program counters of all are looked at. A vCPU stops
// before the instruction, and does so again as long as nobody moves it on. So of several that stand
// at breakpoints one is served at each stop, in turn, and none is lost or counted twice; one that
// another vCPU's hit has stopped there before its own is no exception.
#include <spdlog/spdlog.h>

#include "daemon/tracer.hpp"

namespace swat::daemon {

// What can be had without is never worth an error.
void Tracer::begin_silent_runs() {
  if (traps_.has_watches() || exec_log_ != nullptr) return;
  if (const auto silent = vm_.run_silently(); !silent) {
    spdlog::warn("QEMU will throw its translations away at each breakpoint: {}",
                 silent.error().what);
    return;
  }
  spdlog::info(
      "breakpoints stop QEMU {} silently, so that it keeps its translations; the monitor "
      "is held meanwhile",
      vm_.qemu_version());
}

bool Tracer::is_silent(const gdbproto::StopReply& stop) {
  return vm_.session().runs_silently() && !stop.thread;
}

Result<NextStop> Tracer::handle_silent_stop(bool is_pause, bool is_own) {
  const auto vcpu = is_pause ? std::nullopt : SWAT_TRY(find_at_breakpoint());
  if (calibration_.is_due(Clock::now())) SWAT_CHECK(calibration_.end());
  if (is_own) return runs_on(on_own_stop());
  if (is_pause) return NextStop{};
  return vcpu ? on_breakpoint(*vcpu) : runs_on(on_strange_stop());
}

Result<std::optional<unsigned>> Tracer::find_at_breakpoint() {
  const auto& threads = vm_.session().threads();
  auto registers = SWAT_TRY(vm_.session().registers_of(threads));
  for (unsigned vcpu = 0; vcpu < threads.size(); ++vcpu) {
    vm_.guest().remember(vcpu, std::move(registers[vcpu]));
  }
  for (unsigned i = 1; i <= threads.size(); ++i) {
    const auto vcpu = static_cast<unsigned>((last_served_ + i) % threads.size());
    if (traps_.at_breakpoint(pc_of(vcpu)) == nullptr) continue;
    last_served_ = vcpu;
    return vcpu;
  }
  return std::nullopt;
}

// At a breakpoint that is about to go; or at what another client has left behind. That may be a
// watchpoint: only a stop that is reported makes QEMU forget its hit.
Result<> Tracer::on_strange_stop() {
  if (traps_.has_removals()) {
    SWAT_CHECK(traps_.flush_removals());
    return pass_over();
  }
  spdlog::warn(
      "the guest has stopped at no trap of ours; stops are reported from here on, and cost "
      "QEMU its translations");
  vm_.close_monitor();
  return pass_over();
}

}  // namespace swat::daemon
