// Emulate and skip (osmodels/emulation.hpp) for 32-bit ARM, A32 and T32: what functions and the
// kernel's entry begin with, and the loads that read watches stop at. Stores (push) are left to a
// step: a page that is shared until somebody writes to it must not be written behind the guest's
// back.
#pragma once

#include "osmodels/emulation.hpp"

namespace swat::os::arm {

// Where the vCPU goes on has bit 0 set in Thumb code, as QEMU takes it with `c addr`; cpsr is
// written when it changes. [QEMU, arm_cpu_set_pc in target/arm/cpu.c]
[[nodiscard]] Result<Va> emulate(VirtualMemory& memory, VcpuState& vcpu, Va at, unsigned bits);

// osmodels/emulation.hpp. What is loaded is called when it goes to pc, or when one of the next few
// instructions branches there; addresses of code are without their Thumb bit:
//   add ip, pc, #0; add ip, ip, #page; ldr pc, [ip, #slot]!     (a PLT stub)
//   ldr r3, [r4, #slot]; mov r0, r5; blx r3                     (-fno-plt)
[[nodiscard]] Result<SlotRead> read_of_slot(VirtualMemory& memory, VcpuState& vcpu, Va at);

}  // namespace swat::os::arm
