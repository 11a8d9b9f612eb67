#include "daemon/event_log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace swat::daemon {

std::string_view to_string(ReturnEvent::Outcome outcome) {
  using Outcome = ReturnEvent::Outcome;
  switch (outcome) {
    case Outcome::kReturned:
      return "returned";
    case Outcome::kInChild:
      return "in_child";
    case Outcome::kInterrupted:
      return "interrupted";
    case Outcome::kNever:
      return "never";
    case Outcome::kDied:
      return "died";
    case Outcome::kUnfinished:
      return "unfinished";
    case Outcome::kMissed:
      return "missed";
    case Outcome::kUnwound:
      return "unwound";
  }
  return "?";
}

bool EventLog::shows_arguments() const {
  return std::ranges::any_of(sinks_, [](const auto& sink) { return sink->shows_arguments(); });
}

bool EventLog::passes(const SyscallEvent& call) {
  return passes_as(call.name.empty() ? fmt::format("syscall {:x}", call.number)
                                     : fmt::format("syscall {}", call.name));
}

bool EventLog::passes(const CallEvent& call) {
  return passes_as(fmt::format("call {}!{}", call.module, call.function));
}

bool EventLog::passes_as(std::string_view name) {
  write_gaps(cap_->take_ended(RateCap::Clock::now()));
  return cap_->admits(name);
}

void EventLog::write_gaps(const std::vector<RateCap::HeldBack>& held_back) {
  for (const auto& [name, count] : held_back) {
    event_.what = GapEvent{count, fmt::format("{}: above {}/s", name, cap_->per_second())};
    write_event({});
  }
}

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

Result<> EventLog::flush(bool last) {
  if (cap_) write_gaps(last ? cap_->take_all() : cap_->take_ended(RateCap::Clock::now()));
  Result<> outcome;  // of all sinks: one that fails does not hold up another
  for (const auto& sink : sinks_) {
    auto flushed = sink->flush();
    if (!flushed && outcome) outcome = std::move(flushed);
  }
  return outcome;
}

}  // namespace swat::daemon
