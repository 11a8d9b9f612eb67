// Where an AArch64 kernel's code takes the running task from when it is entered from user mode.
#pragma once

#include <cstdint>
#include <vector>

#include "symbols/kernel_image.hpp"

namespace swat::os::aarch64 {

// Addresses, in the image's per-CPU section, of what is loaded into SP_EL0 relative to TPIDR_EL1:
//   adrp x, slot; add x, x, :lo12:slot; mrs y, tpidr_el1; ldr x, [x, y]; msr sp_el0, x
// The commonest first. Kernels without data symbols (no CONFIG_KALLSYMS_ALL) tell __entry_task so.
// [arch/arm64/kernel/entry.S, kernel_entry of Linux 4.10 and later]
[[nodiscard]] std::vector<std::uint64_t> entry_task_slots(const symbols::KernelImage& image);

}  // namespace swat::os::aarch64
