// A syscall whose event has been written: what its return refers to.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "osmodels/linux/syscalls.hpp"

namespace swat::daemon {

struct LoggedCall {
  std::uint64_t sequence = 0;  // of the event
  const os::SyscallAbi* abi = nullptr;
  std::uint64_t number = 0;
  std::string_view name;      // empty: not in the table
  std::optional<Va> next_pc;  // of the instruction behind the caller's, where a register tells
  // What is where the result will be, until there is one.
  std::uint64_t before = kNoSuchCall;

  // -ENOSYS: what the entry of an x86 kernel saves there. [arch/x86/entry/entry_64.S]
  static constexpr std::uint64_t kNoSuchCall = ~std::uint64_t{38} + 1;
};

}  // namespace swat::daemon
