// Emulate and skip (osmodels/emulation.hpp) for AArch64: what functions begin with, and the loads
// that read watches stop at. Stores are left to a step: a page that is shared until somebody writes
// to it must not be written behind the guest's back.
#pragma once

#include "osmodels/emulation.hpp"

namespace swat::os::aarch64 {

[[nodiscard]] Result<Va> emulate(VirtualMemory& memory, VcpuState& vcpu, Va at, unsigned bits);

// osmodels/emulation.hpp. What is loaded is called when the next few instructions branch to it:
//   ldr x17, [x16, #slot]; add x16, x16, #slot; br x17     (a PLT stub)
//   ldr x0, [x0, #slot]; mov ...; blr x0                   (-fno-plt)
[[nodiscard]] Result<SlotRead> read_of_slot(VirtualMemory& memory, VcpuState& vcpu, Va at);

}  // namespace swat::os::aarch64
