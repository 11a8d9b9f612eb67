// Which syscalls must be noticed, so that what is selected is logged: those themselves, and those
// that tell what processes map and when they end.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/selection.hpp"
#include "osmodels/linux/syscalls.hpp"

namespace swat::daemon {

struct SyscallDemand {
  bool all = true;
  std::vector<std::uint32_t> numbers;  // ascending, of one ABI; unless all
};

[[nodiscard]] SyscallDemand demand_of(const Selection& selection, const os::SyscallAbi& abi);

}  // namespace swat::daemon
