// Emulate and skip: what the instruction under a trap does, so that the guest can be resumed behind
// it with `c addr` instead of a step (facts/qemu.md 0.5).
//
// Each architecture knows the few instructions that functions and entries begin with, and those
// that read what is watched; for any other the caller steps.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "osmodels/guest.hpp"
#include "symbols/memory.hpp"

namespace swat::os {

// The registers and stack of the vCPU that is to be moved on, by target.xml names.
class VcpuState {
 public:
  virtual ~VcpuState() = default;
  [[nodiscard]] virtual Result<std::uint64_t> reg(std::string_view name) = 0;
  [[nodiscard]] virtual Result<> set_reg(std::string_view name, std::uint64_t value) = 0;
  [[nodiscard]] virtual Result<> store(Va at, std::uint64_t value, unsigned size_bytes) = 0;
};

// Carries out the instruction at `at` and tells where the vCPU goes on (32-bit ARM: with bit 0 set
// in Thumb code, as a stub takes it). `memory` is the address
// space of the code and of what it loads; `bits` is the width of the code, 32 or 64.
// kUnsupported: it has effects that are not emulated, step it; nothing has been changed but, where
// a write has failed, what was written before.
[[nodiscard]] Result<Va> emulate(Architecture architecture, VirtualMemory& memory, VcpuState& vcpu,
                                 Va at, unsigned bits);

// What a vCPU that has been stopped before the access is about to read.
struct SlotRead {
  Va at;
  std::uint64_t size_bytes = 0;
  // The function that is called then, and where it will return to; nullopt: it is read as data.
  std::optional<Va> callee;
  std::optional<Va> return_address;
};
// kUnsupported: this architecture stops behind the access, or the instruction at `at` is none that
// is known.
[[nodiscard]] Result<SlotRead> read_of_slot(Architecture architecture, VirtualMemory& memory,
                                            VcpuState& vcpu, Va at);

}  // namespace swat::os
