// What tracing has cost, for --stats: on the wire, in QEMU, and of the guest's time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/vm.hpp"
#include "osmodels/model.hpp"

namespace swat::daemon {

// The counters as they stand at one moment. What grows between two readings is the cost of the time
// between them.
struct CostReading {
  std::chrono::steady_clock::time_point at;
  gdbproto::Session::Stats wire;
  // How often QEMU has thrown its translated code away (`info jit`). None: KVM, or not told.
  std::optional<std::uint64_t> flushes;
  // The guest's own clock, nanoseconds, as of its last tick. Under TCG it stands still with the
  // guest. None: the model cannot read it.
  std::optional<std::uint64_t> guest_ns;

  // The guest is stopped, or QEMU is gone: then only what this side knows is filled in.
  [[nodiscard]] static CostReading take(Vm& vm, os::OsModel& model);
};

struct EventCounts {
  std::uint64_t events = 0;      // syscalls and calls that were logged
  std::uint64_t idle_stops = 0;  // stops that were no event
};

// Lines for people, without newlines. Shares and rates are left out where nothing was counted.
[[nodiscard]] std::vector<std::string> describe_cost(const CostReading& before,
                                                     const CostReading& after, EventCounts counts);

// The number after "TB flush count" in what `info jit` prints.
[[nodiscard]] std::optional<std::uint64_t> parse_flush_count(std::string_view info_jit);

}  // namespace swat::daemon
