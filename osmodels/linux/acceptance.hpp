// Whether a profile may be believed: what it says where things are must agree with itself in the
// guest as it stands now, wherever the profile comes from (BTF, inference, a cache).
//
// Each invariant is one that a wrong offset of its members breaks, and that the others do not
// imply. A guest may at any moment be about to change an object, and programs may do odd things to
// themselves: an invariant holds when three quarters of what was looked at, and at least one
// object, agree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "osmodels/linux/profile.hpp"
#include "osmodels/page_table.hpp"

namespace swat::os {

struct AcceptanceInput {
  PhysicalMemory& ram;
  AddressSpace& kernel;
  const PageGeometry& geometry;  // of user addresses
  bool maps_kernel;              // every process's page table maps the kernel's addresses, too
  Va entry;                      // kernel text
  Va init_task;
};

struct Invariant {
  enum class State {
    kHolds,
    kBroken,
    kUntested,  // the guest has nothing to look at: no process yet
  };
  std::string_view name;  // "task list"
  bool required;          // broken, the model cannot do without what it stands for
  State state = State::kUntested;
  std::string found;  // "3 of 40 agree"
};

struct Acceptance {
  // Of the task list and ids alone a wrong profile may make some sense by chance.
  static constexpr std::size_t kFewest = 4;

  std::vector<Invariant> invariants;

  [[nodiscard]] std::size_t count(Invariant::State state) const;
  // At least kFewest hold, and no required one is broken.
  [[nodiscard]] bool accepts() const;
  // "9 of 9 invariants agree", and what does not.
  [[nodiscard]] std::string to_string() const;
};

// Reads what it judges. Optional members whose invariant is broken are taken out of the profile,
// which is complete (check_complete).
[[nodiscard]] Acceptance judge_profile(const AcceptanceInput& input, LinuxProfile& profile);

}  // namespace swat::os
