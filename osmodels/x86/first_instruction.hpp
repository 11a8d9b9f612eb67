// Emulate and skip (osmodels/emulation.hpp) for x86: what the instruction under a breakpoint does.
//
// Only instructions whose whole effect is on registers, or one word pushed, are known here; for any
// other the caller steps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "osmodels/emulation.hpp"
#include "symbols/memory.hpp"

namespace swat::os::x86 {

// One instruction, understood.
struct Skip {
  enum class Effect { kNone, kPush, kCall, kAddToStack, kCopy, kZero, kClearFlags, kSwapGs } effect;
  Va next;                    // where to go on
  unsigned word_bytes = 8;    // of a push
  std::string_view to, from;  // registers: kPush uses from; kCopy both; kZero to
  // kAddToStack: modulo 2^64; kClearFlags: the mask; kCall: the return address
  std::uint64_t amount = 0;

  // Carries the effect out; the caller resumes at `next` only when this succeeded.
  [[nodiscard]] Result<> apply(VcpuState& vcpu) const;
};

// kUnsupported: the instruction has effects that are not emulated; step it.
[[nodiscard]] Result<Skip> understand(VirtualMemory& memory, Va at, unsigned bits);

}  // namespace swat::os::x86
