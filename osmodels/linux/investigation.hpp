// What attaching to a Linux guest finds out, before there is a model of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "osmodels/linux/guest_clock.hpp"
#include "osmodels/linux/kernel_locator.hpp"
#include "osmodels/linux/linux_model.hpp"
#include "osmodels/linux/profile.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

struct Findings {
  LocatedKernel kernel;
  std::string banner;
  std::string release;
  symbols::SymbolTable symbols;
  std::optional<Va> own_page_table;  // of the kernel itself: its address, as a symbol table has it
  LinuxProfile profile;
  std::string acceptance;  // "12 of 12 invariants agree": what the guest says of the profile
  Va init_task;
  std::optional<GuestClock> clock;
  std::optional<ClockLayout> clock_layout;
  std::string key;            // of this kernel build, for the store
  bool agrees_fully = false;  // no invariant of the profile is broken
  bool from_cache = false;
  std::vector<std::string> provenance;  // how it was found, a line each
};

// All that needs none of the kernel's structures. kNotFound: no Linux here.
[[nodiscard]] Result<Findings> investigate_kernel(GuestView& guest,
                                                  const LinuxModelOptions& options);
// And a profile of them. kNotFound: no Linux here; kUnsupported: one that agrees with none.
[[nodiscard]] Result<Findings> investigate(GuestView& guest, const LinuxModelOptions& options);

}  // namespace swat::os
