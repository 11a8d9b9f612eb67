#include "daemon/event_log.hpp"

namespace swat::daemon {

void EventLog::write_event(const Scene& scene) {
  ++event_.sequence;
  event_.host_time = std::chrono::system_clock::now();
  event_.guest_time_ns = scene.guest_time_ns;
  event_.vcpu = scene.vcpu;
  event_.address_space = scene.address_space;
  event_.pid = scene.pid;
  event_.tid = scene.tid;
  event_.process = scene.process;
  if (std::holds_alternative<SyscallEvent>(event_.what) ||
      std::holds_alternative<CallEvent>(event_.what)) {
    ++traced_;
  }
  for (const auto& sink : sinks_) sink->write(event_);
}

Result<> EventLog::flush() {
  Result<> outcome;  // of all sinks: one that fails does not hold up another
  for (const auto& sink : sinks_) {
    auto flushed = sink->flush();
    if (!flushed && outcome) outcome = std::move(flushed);
  }
  return outcome;
}

}  // namespace swat::daemon
