#include "daemon/silent_hits.hpp"

#include <spdlog/spdlog.h>

namespace swat::daemon {

void SilentHits::begin() {
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

bool SilentHits::is_silent(const gdbproto::StopReply& stop) const {
  return vm_.session().runs_silently() && !stop.thread;
}

Result<std::optional<unsigned>> SilentHits::find() {
  const auto& threads = vm_.session().threads();
  auto registers = SWAT_TRY(vm_.session().registers_of(threads));
  for (unsigned vcpu = 0; vcpu < threads.size(); ++vcpu) {
    vm_.guest().remember(vcpu, std::move(registers[vcpu]));
  }
  for (unsigned i = 1; i <= threads.size(); ++i) {
    const auto vcpu = static_cast<unsigned>((last_served_ + i) % threads.size());
    if (traps_.at_breakpoint(vm_.guest().pc(vcpu)) == nullptr) continue;
    last_served_ = vcpu;
    return vcpu;
  }
  return std::nullopt;
}

// At a breakpoint that is about to go; or at what another client has left behind. That may be a
// watchpoint: only a stop that is reported makes QEMU forget its hit.
Result<> SilentHits::on_strange_stop() {
  if (traps_.has_removals()) return traps_.flush_removals();
  spdlog::warn(
      "the guest has stopped at no trap of ours; stops are reported from here on, and cost "
      "QEMU its translations");
  vm_.close_monitor();
  return {};
}

}  // namespace swat::daemon
