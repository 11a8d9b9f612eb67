// Where a kernel's way out of a syscall can be stopped with the result in rax: for breakpoints, and
// to know a vCPU that stands there.
#pragma once

#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

// One way out: `pop %rax`, or a load of rax from the stack, behind the call of the handler.
struct ExitPoint {
  Va load;
  Va loaded;  // the next instruction: where a vCPU stands that a watch on the saved rax has stopped
  // Or at one of these, when the stop comes late (EntryStore::late_pc): where QEMU's translation
  // block goes on. rax still holds the result.
  std::vector<Va> late;
  // The first instruction from `loaded` on that can be emulated and skipped; `loaded` where there
  // is none before the path forks. A breakpoint goes here.
  Va breakpoint;

  friend bool operator==(const ExitPoint&, const ExitPoint&) = default;
};

// All ways out that the code from `entry` (64-bit) can lead to, both sides of each branch, over
// calls; but not those on which the code itself finds that it goes back to kernel code. Exceptions
// leave the kernel by some of them too. Lowest address first; kNotFound: none within bounds.
[[nodiscard]] Result<std::vector<ExitPoint>> find_exit_points(VirtualMemory& kernel, Va entry);

}  // namespace swat::os::x86
