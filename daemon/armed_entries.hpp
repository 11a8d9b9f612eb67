// The traps of syscall entries that are armed now, and which of them a vCPU stands at.
#pragma once

#include <vector>

#include "daemon/trap.hpp"

namespace swat::daemon {

class ArmedEntries {
 public:
  ArmedEntries() = default;
  explicit ArmedEntries(const std::vector<Trap>& traps);

  // The entry whose watched access `vcpu` stands just behind at `pc`, reported or not; null: none.
  // `or_late`: it has stopped by itself, so it may be further on, for a hit before (EntryTrap).
  [[nodiscard]] const EntryTrap* behind(unsigned vcpu, Va pc, bool or_late) const;
  // The same of vCPUs that stop before the access.
  [[nodiscard]] const EntryTrap* before(Va pc) const;
  // On the kernel's table, each a DispatchTrap.
  [[nodiscard]] const std::vector<Trap>& table_watches() const { return table_watches_; }

 private:
  std::vector<EntryTrap> watches_;
  std::vector<Trap> table_watches_;
};

// The entry among the meanings of one watch whose instruction a vCPU at `pc` has just left; null:
// it was another access to the watched word.
[[nodiscard]] const EntryTrap* find_entry(const std::vector<const Trap*>& traps, Va pc);

}  // namespace swat::daemon
