// A function's call whose event has been written: what its return refers to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "symbols/address.hpp"

namespace swat::daemon {

// Bytes of arguments that a 32-bit callee may pop along with the return address.
inline constexpr std::uint64_t kMostPopped32 = 4096;

// Where the caller waits: the word of the stack that holds the return address.
struct CallFrame {
  Va entry;  // the callee's first instruction, or that of the stub that leads to it
  Va slot;
  Va back;  // what the slot holds
  unsigned word_bytes = 8;

  friend bool operator==(const CallFrame&, const CallFrame&) = default;
};

struct LoggedFunction {
  std::optional<std::uint64_t> sequence;  // of the event; none: the rate cap has held it back
  Va address;
  std::string function;
  std::string module;
  std::optional<CallFrame> frame;  // none: the caller's stack could not be read
};

}  // namespace swat::daemon
