// A syscall whose event has been written: what its return refers to.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "daemon/event.hpp"
#include "daemon/logged_function.hpp"
#include "osmodels/syscall_abi.hpp"

namespace swat::daemon {

struct LoggedCall {
  std::uint64_t sequence = 0;  // of the event
  const os::SyscallAbi* abi = nullptr;
  std::uint64_t number = 0;
  std::string_view name;      // empty: not in the table
  std::optional<Va> next_pc;  // of the instruction behind the caller's, where a register tells
  // What is where the result will be, until there is one.
  std::uint64_t before = kNoSuchCall;
  os::Effect effect = os::Effect::kNone;
  std::optional<CallFrame> frame =
      {};  // of the stub that makes it; none: of none, or not asked for
  // What it takes, and what it was given; null: not known, or nobody asks what they mean.
  const os::Prototype* prototype = nullptr;
  std::vector<std::optional<std::uint64_t>> words = {};

  // -ENOSYS: what the entry of an x86 kernel saves there. [arch/x86/entry/entry_64.S]
  static constexpr std::uint64_t kNoSuchCall = ~std::uint64_t{38} + 1;

  [[nodiscard]] ReturnEvent end(ReturnEvent::Outcome outcome) const {
    ReturnEvent event;
    event.call = sequence;
    event.mnemonic = abi->mnemonic;
    event.number = number;
    event.name = name;
    event.outcome = outcome;
    return event;
  }
};

}  // namespace swat::daemon
