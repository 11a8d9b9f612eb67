// A syscall whose event has been written: what its return refers to.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "osmodels/linux/syscalls.hpp"

namespace swat::daemon {

struct LoggedCall {
  std::uint64_t sequence = 0;  // of the event
  const os::linux_os::SyscallAbi* abi = nullptr;
  std::uint64_t number = 0;
  std::string_view name;      // empty: not in the table
  std::optional<Va> next_pc;  // of the instruction behind the caller's, where a register tells
};

}  // namespace swat::daemon
