// The one way out for events: numbers them, stamps them, hands them to every sink.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "daemon/event.hpp"
#include "daemon/rate_cap.hpp"
#include "daemon/sink.hpp"

namespace swat::daemon {

class EventLog {
 public:
  void add(std::unique_ptr<Sink> sink) { sinks_.push_back(std::move(sink)); }
  // From now on syscalls and calls above the cap become gap events, one a second for each name.
  void cap(std::optional<RateCap> cap) { cap_ = std::move(cap); }

  // Who the next events are of.
  struct Scene {
    unsigned vcpu = 0;
    Pa address_space;
    std::uint32_t pid = 0;
    std::uint32_t tid = 0;
    std::string process;
    std::optional<std::uint64_t> guest_time_ns = {};
    os::ProcessKey key{};
  };

  // The event's sequence number. None: the cap has held it back.
  template <class What>
  std::optional<std::uint64_t> write(const Scene& scene, What what) {
    if (cap_ && !passes(what)) return {};
    event_.what = std::move(what);
    write_event(scene);
    return event_.sequence;
  }

  // Whether some sink does.
  [[nodiscard]] bool shows_arguments() const;
  // Syscalls and calls: what --max-events counts.
  [[nodiscard]] std::uint64_t traced() const { return traced_; }
  [[nodiscard]] std::uint64_t written() const { return event_.sequence; }
  // Everything written so far goes on its way; and so do the counts of what the cap has held back
  // in seconds that have ended. `last`: in this one too.
  [[nodiscard]] Result<> flush(bool last = false);

 private:
  [[nodiscard]] bool passes(const SyscallEvent& call);
  [[nodiscard]] bool passes(const CallEvent& call);
  [[nodiscard]] bool passes(const auto&) { return true; }
  [[nodiscard]] bool passes_as(std::string_view name);
  void write_gaps(const std::vector<RateCap::HeldBack>& held_back);
  void write_event(const Scene& scene);

  std::vector<std::unique_ptr<Sink>> sinks_;
  Event event_;
  std::uint64_t traced_ = 0;
  std::optional<RateCap> cap_;
};

}  // namespace swat::daemon
