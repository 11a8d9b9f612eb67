#include "daemon/armed_entries.hpp"

#include <algorithm>

namespace swat::daemon {

ArmedEntries::ArmedEntries(const std::vector<Trap>& traps) {
  for (const Trap& trap : traps) {
    if (trap.is_breakpoint()) continue;  // a vCPU that was not reported at one is hit again
    if (const auto* entry = std::get_if<EntryTrap>(&trap.what)) watches_.push_back(*entry);
    if (std::holds_alternative<DispatchTrap>(trap.what)) table_watches_.push_back(trap);
  }
}

const EntryTrap* ArmedEntries::behind(unsigned vcpu, Va pc, bool or_late) const {
  for (const EntryTrap& entry : watches_) {
    if (entry.vcpu && entry.vcpu != vcpu) continue;
    const bool is_late = or_late && std::ranges::find(entry.late_pcs, pc) != entry.late_pcs.end();
    if (entry.stop_pc == pc || is_late) return &entry;
  }
  return nullptr;
}

const EntryTrap* ArmedEntries::before(Va pc) const {
  const auto entry = std::ranges::find(watches_, pc, &EntryTrap::stop_pc);
  return entry == watches_.end() ? nullptr : &*entry;
}

const EntryTrap* find_entry(const std::vector<const Trap*>& traps, Va pc) {
  for (const Trap* trap : traps) {
    const auto* entry = std::get_if<EntryTrap>(&trap->what);
    if (entry != nullptr && entry->stop_pc == pc) return entry;
  }
  return nullptr;
}

}  // namespace swat::daemon
