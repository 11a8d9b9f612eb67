// The way of a 32-bit ARM kernel back to user mode. Whether a system call or an exception ends, it
// loads the user's CPSR and pc out of struct pt_regs, and then the other registers:
//
//   mov r2, sp; ldr r1, [r2, #72]; ldr lr, [r2, #68]!; ...; ldmdb r2, {r1-lr}^; ...; movs pc, lr
//
// A handler's result is in r0 by then. Where signals or a tracer may have changed it, it has been
// saved, and `ldmdb r2, {r0-lr}^` loads it, too.
// [arch/arm/kernel/entry-header.S, restore_user_regs; entry-common.S, ret_fast_syscall and
// ret_slow_syscall; of Linux 2.6.32 to 6.12]
#pragma once

#include "symbols/memory.hpp"

namespace swat::os::arm {

// Whether r0 is restored behind `at`, the load of the user's pc. kNotFound: this is no way back.
[[nodiscard]] Result<bool> restores_result(VirtualMemory& kernel, Va at);

}  // namespace swat::os::arm
