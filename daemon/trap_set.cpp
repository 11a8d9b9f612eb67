#include "daemon/trap_set.hpp"

#include <algorithm>
#include <set>

namespace swat::daemon {
namespace {

// The same meaning twice is one trap with two holders.
bool same_meaning(const Trap& a, const Trap& b) {
  if (a.what.index() != b.what.index()) return false;
  if (const auto* dispatch = std::get_if<DispatchTrap>(&a.what)) {
    return dispatch->dispatch == std::get<DispatchTrap>(b.what).dispatch;
  }
  const auto* entry = std::get_if<EntryTrap>(&a.what);
  return entry == nullptr || entry->stop_pc == std::get<EntryTrap>(b.what).stop_pc;
}

}  // namespace

Result<> TrapSet::add(const std::vector<Trap>& traps) {
  std::set<Key> more;
  for (const Trap& trap : traps) {
    if (!held_.contains(key_of(trap.point))) more.insert(key_of(trap.point));
  }
  if (held_.size() + more.size() > kMaxPoints) {
    return fail(Errc::kUnsupported, "too many traps at once");
  }
  std::vector<gdbproto::Point> missing;
  for (const Trap& trap : traps) {
    const auto key = key_of(trap.point);
    const auto [it, is_new] = held_.try_emplace(key, Held{trap.point, {}, 0});
    Held& held = it->second;
    longest_span_ = std::max(longest_span_, trap.point.size_bytes);
    if (is_new) {
      // Still in the stub, about to be removed: keep it instead.
      const auto leaving = std::find(to_remove_.begin(), to_remove_.end(), trap.point);
      if (leaving != to_remove_.end()) {
        to_remove_.erase(leaving);
      } else {
        missing.push_back(trap.point);
      }
    }
    ++held.holders;
    if (std::none_of(held.traps.begin(), held.traps.end(),
                     [&](const Trap& known) { return same_meaning(known, trap); })) {
      held.traps.push_back(trap);
    }
  }
  if (missing.empty()) return {};
  const auto inserted = session_.insert(missing);
  if (!inserted) give_back(traps, missing);
  return inserted;
}

// `missing` never got into the stub: of those nothing is left to remove.
void TrapSet::give_back(const std::vector<Trap>& traps,
                        const std::vector<gdbproto::Point>& missing) {
  for (const Trap& trap : traps) drop(trap.point);
  std::erase_if(to_remove_, [&](const gdbproto::Point& point) {
    return std::find(missing.begin(), missing.end(), point) != missing.end();
  });
}

void TrapSet::drop(const gdbproto::Point& point) {
  const auto it = held_.find(key_of(point));
  if (it == held_.end() || --it->second.holders > 0) return;
  to_remove_.push_back(it->second.point);
  held_.erase(it);
}

Result<> TrapSet::flush_removals() {
  if (to_remove_.empty()) return {};
  const auto points = std::exchange(to_remove_, {});
  return session_.remove(points);
}

Result<> TrapSet::clear() {
  for (const auto& [key, held] : std::exchange(held_, {})) to_remove_.push_back(held.point);
  return flush_removals();
}

bool TrapSet::has_watches() const {
  return std::ranges::any_of(
      held_, [](const auto& entry) { return !entry.second.traps.front().is_breakpoint(); });
}

std::size_t TrapSet::breakpoints_with(const std::vector<Trap>& more) const {
  std::set<Key> keys;
  for (const auto& [key, held] : held_) {
    if (held.traps.front().is_breakpoint()) keys.insert(key);
  }
  for (const Trap& trap : more) {
    if (trap.is_breakpoint()) keys.insert(key_of(trap.point));
  }
  return keys.size();
}

std::vector<const Trap*> TrapSet::at_watch(Va start) const {
  std::vector<const Trap*> found;
  for (auto it = held_.lower_bound({start.value, '\0', 0});
       it != held_.end() && std::get<0>(it->first) == start.value; ++it) {
    for (const Trap& trap : it->second.traps) {
      if (!trap.is_breakpoint()) found.push_back(&trap);
    }
  }
  return found;
}

VaRange TrapSet::watched_from(Va start) const {
  Va end = start;
  for (const Trap* trap : at_watch(start)) end = std::max(end, start + trap->point.size_bytes);
  return {start, end};
}

bool TrapSet::watches_read(Va at, std::uint64_t size_bytes) const {
  for (auto it = held_.upper_bound({(at + size_bytes).value, '\0', 0}); it != held_.begin();) {
    const gdbproto::Point& point = (--it)->second.point;
    if (point.at < at && at - point.at >= longest_span_) return false;
    const bool reads = point.kind == gdbproto::PointKind::kReadWatch ||
                       point.kind == gdbproto::PointKind::kAccessWatch;
    if (reads && point.at < at + size_bytes && at < point.at + point.size_bytes) return true;
  }
  return false;
}

const TrapSet::Held* TrapSet::held_at_breakpoint(Va pc) const {
  for (const auto kind :
       {gdbproto::PointKind::kSoftwareBreakpoint, gdbproto::PointKind::kHardwareBreakpoint}) {
    const auto it = held_.lower_bound({pc.value, static_cast<char>(kind), 0});
    if (it == held_.end() || it->second.point.at != pc || it->second.point.kind != kind) continue;
    return &it->second;
  }
  return nullptr;
}

const Trap* TrapSet::at_breakpoint(Va pc) const {
  const Held* held = held_at_breakpoint(pc);
  return held == nullptr ? nullptr : &held->traps.front();
}

std::vector<Trap> TrapSet::meanings_at_breakpoint(Va pc) const {
  const Held* held = held_at_breakpoint(pc);
  return held == nullptr ? std::vector<Trap>{} : held->traps;
}

}  // namespace swat::daemon
