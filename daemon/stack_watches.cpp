#include "daemon/stack_watches.hpp"

#include <algorithm>
#include <utility>

#include "daemon/logged_function.hpp"

namespace swat::daemon {

gdbproto::PointChanges StackWatches::watch(Va word, unsigned size_bytes,
                                           const IsNeeded& is_needed) {
  const gdbproto::Point point{gdbproto::PointKind::kReadWatch, word, size_bytes};
  const auto known = std::ranges::find(watched_, point);
  const bool is_new = known == watched_.end();
  if (is_new) {
    watched_.push_back(point);
  } else {
    std::rotate(known, known + 1, watched_.end());
  }
  gdbproto::PointChanges changes = tidy(is_needed);
  if (is_new) changes.insert = point;
  return changes;
}

gdbproto::PointChanges StackWatches::tidy(const IsNeeded& is_needed) {
  const auto is_idle = [&](const gdbproto::Point& point) {
    return !is_needed(point.at, point.size_bytes);
  };
  const Va spoiled = std::exchange(spoiled_, std::nullopt).value_or(Va{});
  auto going = std::ranges::find_if(
      watched_, [&](const auto& point) { return point.at == spoiled && is_idle(point); });
  const auto idle = static_cast<std::size_t>(std::ranges::count_if(watched_, is_idle));
  if (going == watched_.end() && idle > most_idle_) going = std::ranges::find_if(watched_, is_idle);
  if (going == watched_.end()) return {};
  gdbproto::PointChanges changes{*going, {}};
  watched_.erase(going);
  return changes;
}

std::vector<gdbproto::Point> StackWatches::take_idle(const IsNeeded& is_needed, std::size_t but) {
  const auto is_idle = [&](const gdbproto::Point& point) {
    return !is_needed(point.at, point.size_bytes);
  };
  const auto idle = static_cast<std::size_t>(std::ranges::count_if(watched_, is_idle));
  std::vector<gdbproto::Point> taken;
  for (std::size_t left = idle; left > most_idle_ + but; --left) {
    const auto oldest = std::ranges::find_if(watched_, is_idle);
    taken.push_back(*oldest);
    watched_.erase(oldest);
  }
  return taken;
}

std::vector<gdbproto::Point> StackWatches::taken_below(Va sp) const {
  std::vector<gdbproto::Point> taken;
  for (const gdbproto::Point& point : watched_) {
    const Va behind = point.at + point.size_bytes;
    const std::uint64_t most = point.size_bytes == 4 ? kMostPopped32 : 0;
    if (behind <= sp && sp - behind <= most) taken.push_back(point);
  }
  return taken;
}

bool StackWatches::contains(Va word) const {
  return std::ranges::find(watched_, word, &gdbproto::Point::at) != watched_.end();
}

}  // namespace swat::daemon
