// Emulate and skip: what the instruction under a breakpoint does, so that the guest can be resumed
// behind it with `c addr` instead of a step (facts/qemu.md 0.5).
//
// Only instructions whose whole effect is on registers, or one word pushed, are known here; for any
// other the caller steps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

// The registers and stack of the vCPU that is to be moved on, by target.xml names.
class VcpuState {
 public:
  virtual ~VcpuState() = default;
  [[nodiscard]] virtual Result<std::uint64_t> reg(std::string_view name) = 0;
  [[nodiscard]] virtual Result<> set_reg(std::string_view name, std::uint64_t value) = 0;
  [[nodiscard]] virtual Result<> store(Va at, std::uint64_t value, unsigned size_bytes) = 0;
};

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
