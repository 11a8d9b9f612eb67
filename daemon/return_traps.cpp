#include "daemon/return_traps.hpp"

#include <algorithm>
#include <utility>

namespace swat::daemon {

Result<gdbproto::PointChanges> ReturnTraps::arm(
    const os::ResultWord& word, const os::Thread& owner,
    const std::function<bool(const os::Thread&)>& is_idle) {
  gdbproto::PointChanges changes;
  if (const auto known = watched_.find(word.at); known != watched_.end()) {
    // Whose stack it was before is no more.
    const bool is_as_wide = known->second.word.watched_bytes == word.watched_bytes;
    if (!is_as_wide) changes.remove = known->second.point();
    known->second = {word, owner};
    if (!is_as_wide) changes.insert = known->second.point();
    return changes;
  }
  if (watched_.size() >= kMost) {
    const auto idle = std::ranges::find_if(
        watched_, [&](const auto& watched) { return is_idle(watched.second.owner); });
    if (idle == watched_.end()) {
      return fail(Errc::kUnsupported, "too many threads are in calls at once");
    }
    changes.remove = disarm(idle->second);
  }
  changes.insert = watched_.emplace(word.at, Watched{word, owner}).first->second.point();
  return changes;
}

gdbproto::Point ReturnTraps::disarm(const Watched& watched) {
  const gdbproto::Point point = watched.point();
  watched_.erase(watched.word.at);
  return point;
}

std::vector<gdbproto::Point> ReturnTraps::clear() {
  std::vector<gdbproto::Point> points;
  for (const auto& [at, watched] : std::exchange(watched_, {})) {
    points.push_back(watched.point());
  }
  return points;
}

const ReturnTraps::Watched* ReturnTraps::find(Va word) const {
  const auto found = watched_.find(word);
  return found == watched_.end() ? nullptr : &found->second;
}

}  // namespace swat::daemon
