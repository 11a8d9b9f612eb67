// How a straight run of x86 instructions ends.
#pragma once

#include "symbols/memory.hpp"

namespace swat::os::x86 {

// Whether the code from `from` runs straight into a direct jump to `to`, conditional or not, and
// not into a call of it: a loop back to `to`, and no call. False where the code cannot be read, or
// goes on for long. `bits` is 32 or 64.
[[nodiscard]] bool jumps_to(VirtualMemory& code, Va from, Va to, unsigned bits);

}  // namespace swat::os::x86
