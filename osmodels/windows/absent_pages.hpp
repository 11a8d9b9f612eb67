// Pages that NT has taken out of an address space and not given to anybody else yet.
#pragma once

#include <cstdint>
#include <optional>

#include "symbols/address.hpp"

namespace swat::os::windows {

// Of a page in transition: it is on the standby or the modified list, whole, or is being read in.
// The entry has the page's frame where a present one has it. [MMPTE_TRANSITION of all builds since
// 5.0; what KVAS-time updates do to addresses of absent pages (L1TF) leads out of RAM]
[[nodiscard]] constexpr std::optional<Pa> page_in_transition(std::uint64_t entry) {
  constexpr std::uint64_t kPrototype = 1u << 10;
  constexpr std::uint64_t kTransition = 1u << 11;
  constexpr std::uint64_t kFrame = 0x0000'ffff'ffff'f000;
  if ((entry & (kPrototype | kTransition)) != kTransition) return std::nullopt;
  return Pa{entry & kFrame};
}

}  // namespace swat::os::windows
