#include "daemon/run_cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace swat::daemon {
namespace {

using Seconds = std::chrono::duration<double>;

// Ticks are 1 to 10 ms apart: below this the guest's clock says nothing about shares.
constexpr Seconds kShortest{0.5};

double percent(double part, double whole) { return 100 * std::clamp(part / whole, 0.0, 1.0); }

// The guest's clock runs while the guest does, so what it lags behind ours is the time it stood.
std::optional<double> stood_still(const CostReading& before, const CostReading& after,
                                  Seconds elapsed) {
  if (!before.guest_ns || !after.guest_ns || *after.guest_ns < *before.guest_ns ||
      elapsed < kShortest) {
    return {};
  }
  const double ran = static_cast<double>(*after.guest_ns - *before.guest_ns) / 1e9;
  return percent(elapsed.count() - ran, elapsed.count());
}

}  // namespace

std::optional<std::uint64_t> parse_flush_count(std::string_view info_jit) {
  constexpr std::string_view kLabel = "TB flush count";
  const std::size_t label = info_jit.find(kLabel);
  if (label == std::string_view::npos) return {};
  std::string_view rest = info_jit.substr(label + kLabel.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
  if (error != std::errc{}) return {};
  return count;
}

CostReading CostReading::take(Vm& vm, os::OsModel& model) {
  CostReading reading;
  reading.at = std::chrono::steady_clock::now();
  reading.wire = vm.session().stats();
  if (vm.session().running()) return reading;
  if (!vm.is_kvm()) {
    if (const auto text = vm.monitor("info jit")) reading.flushes = parse_flush_count(*text);
  }
  if (model.current(0)) {
    if (const auto time = model.wall_clock_ns()) reading.guest_ns = *time;
  }
  return reading;
}

std::vector<std::string> describe_cost(const CostReading& before, const CostReading& after,
                                       EventCounts counts) {
  const Seconds elapsed = after.at - before.at;
  const double seconds = std::max(elapsed.count(), 1e-6);
  const auto per_event = [&](std::uint64_t n) {
    return static_cast<double>(n) / static_cast<double>(std::max<std::uint64_t>(counts.events, 1));
  };
  const std::uint64_t stops = after.wire.stops - before.wire.stops;
  const std::uint64_t sent = after.wire.bytes_sent - before.wire.bytes_sent;
  const std::uint64_t received = after.wire.bytes_received - before.wire.bytes_received;
  const Seconds held = after.wire.held - before.wire.held;
  std::vector<std::string> lines;
  lines.push_back(
      fmt::format("{:.1f} s, {} events ({:.0f}/s), {} stops ({:.0f}/s), {} of them no event",
                  seconds, counts.events, static_cast<double>(counts.events) / seconds, stops,
                  static_cast<double>(stops) / seconds, counts.idle_stops));
  lines.push_back(fmt::format("{} bytes sent and {} received: {:.0f} an event", sent, received,
                              per_event(sent + received)));
  std::string still = fmt::format("the guest stood still {:.1f} % of the time in swatd's hands",
                                  percent(held.count(), seconds));
  if (const auto share = stood_still(before, after, elapsed)) {
    still += fmt::format(", {:.1f} % by its own clock", *share);
  }
  lines.push_back(std::move(still));
  if (before.flushes && after.flushes && *after.flushes >= *before.flushes) {
    const std::uint64_t flushes = *after.flushes - *before.flushes;
    lines.push_back(fmt::format("QEMU flushed its translated code {} times: {:.2f} an event",
                                flushes, per_event(flushes)));
  }
  return lines;
}

}  // namespace swat::daemon
