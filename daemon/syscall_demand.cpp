#include "daemon/syscall_demand.hpp"

namespace swat::daemon {
namespace {

using os::linux_os::Effect;

// What a call does that somebody must know of who has not asked for it.
bool is_tracked(const Selection& selection, std::string_view name) {
  const Effect effect = os::linux_os::effect_of(name);
  if (effect == Effect::kExits) return true;
  const bool maps = effect != Effect::kNone && effect != Effect::kSpawns;
  return maps && selection.needs_modules();
}

}  // namespace

SyscallDemand demand_of(const Selection& selection, const os::linux_os::SyscallAbi& abi) {
  // Who leaves some out wants what has no name as well.
  if (selection.syscalls.wants({})) return {};
  SyscallDemand demand{false, {}};
  for (std::size_t number = 0; number < abi.names.size(); ++number) {
    const std::string_view name = abi.names[number];
    if (name.empty()) continue;
    if (selection.syscalls.wants(name) || is_tracked(selection, name)) {
      demand.numbers.push_back(static_cast<std::uint32_t>(number));
    }
  }
  return demand;
}

}  // namespace swat::daemon
