#include "daemon/syscall_demand.hpp"

namespace swat::daemon {
namespace {

using os::Effect;

// A model that knows no structures is told of what processes become. Of modules it sees what has
// been touched only: ld.so calls mprotect once it has written to one.
bool is_followed(const Selection& selection, std::string_view name, Effect effect) {
  const bool is_of_life = effect == Effect::kSpawns || effect == Effect::kExecs || name == "exit";
  return is_of_life || (name == "mprotect" && selection.needs_modules());
}

// What a call does that somebody must know of who has not asked for it.
bool is_tracked(const Selection& selection, std::string_view name) {
  const Effect effect = os::effect_of(name);
  if (effect == Effect::kExits) return true;
  if (selection.follows_calls && is_followed(selection, name, effect)) return true;
  // Breakpoints are to be set in a program before it calls what is asked for. One with libraries
  // maps these first.
  if (effect == Effect::kSettles) return selection.breaks_on_functions;
  return os::may_move_mappings(effect) && selection.needs_modules();
}

}  // namespace

SyscallDemand demand_of(const Selection& selection, const os::SyscallAbi& abi) {
  // Who leaves some out wants what has no name as well.
  if (selection.syscalls.wants({})) return {};
  SyscallDemand demand{false, {}};
  const auto add = [&](std::uint64_t base, std::span<const std::string_view> names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string_view name = os::linux_os::plain_name(names[i]);
      if (name.empty()) continue;
      if (selection.syscalls.wants(name) || is_tracked(selection, name)) {
        demand.numbers.push_back(static_cast<std::uint32_t>(base + i));
      }
    }
  };
  add(0, abi.names);
  for (const auto& range : abi.more_names) add(range.base, range.names);
  return demand;
}

}  // namespace swat::daemon
