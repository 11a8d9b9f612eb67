// The one way out for events: numbers them, stamps them, hands them to every sink.
#pragma once

#include <memory>
#include <vector>

#include "daemon/event.hpp"
#include "daemon/sink.hpp"

namespace swat::daemon {

class EventLog {
 public:
  void add(std::unique_ptr<Sink> sink) { sinks_.push_back(std::move(sink)); }

  // Who the next events are of.
  struct Scene {
    unsigned vcpu = 0;
    Pa address_space;
    std::uint32_t pid = 0;
    std::uint32_t tid = 0;
    std::string process;
    std::optional<std::uint64_t> guest_time_ns = {};
  };

  template <class What>
  void write(const Scene& scene, What what) {
    event_.what = std::move(what);
    write_event(scene);
  }

  // Syscalls and calls: what --max-events counts.
  [[nodiscard]] std::uint64_t traced() const { return traced_; }
  [[nodiscard]] std::uint64_t written() const { return event_.sequence; }
  [[nodiscard]] Result<> flush();

 private:
  void write_event(const Scene& scene);

  std::vector<std::unique_ptr<Sink>> sinks_;
  Event event_;
  std::uint64_t traced_ = 0;
};

}  // namespace swat::daemon
