#include "daemon/return_traps.hpp"

#include <algorithm>
#include <utility>

#include "osmodels/x86/syscall_frame.hpp"

namespace swat::daemon {
namespace {

gdbproto::Point point_at(Va word) {
  return {gdbproto::PointKind::kReadWatch, word, os::x86::SyscallFrame::kResultBytes};
}

}  // namespace

Result<gdbproto::PointChanges> ReturnTraps::arm(
    const os::ResultWord& word, const os::Thread& owner,
    const std::function<bool(const os::Thread&)>& is_idle) {
  gdbproto::PointChanges changes;
  if (const auto known = watched_.find(word.at); known != watched_.end()) {
    known->second = {word, owner};  // whose stack it was before is no more
    return changes;
  }
  if (watched_.size() >= kMost) {
    const auto idle = std::ranges::find_if(
        watched_, [&](const auto& watched) { return is_idle(watched.second.owner); });
    if (idle == watched_.end()) {
      return fail(Errc::kUnsupported, "too many threads are in calls at once");
    }
    changes.remove = disarm(idle->first);
  }
  watched_.emplace(word.at, Watched{word, owner});
  changes.insert = point_at(word.at);
  return changes;
}

gdbproto::Point ReturnTraps::disarm(Va word) {
  watched_.erase(word);
  return point_at(word);
}

std::vector<gdbproto::Point> ReturnTraps::clear() {
  std::vector<gdbproto::Point> points;
  for (const auto& [word, watched] : std::exchange(watched_, {})) points.push_back(point_at(word));
  return points;
}

const ReturnTraps::Watched* ReturnTraps::find(Va word) const {
  const auto found = watched_.find(word);
  return found == watched_.end() ? nullptr : &found->second;
}

}  // namespace swat::daemon
