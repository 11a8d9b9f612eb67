// Where a kernel's way out of a syscall loads the result out of the saved registers: for
// breakpoints, and to know a vCPU that stands there.
#pragma once

#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

// One way out, behind the call of the handler: `pop %rax`, or a load of rax from the stack. 32
// bits: `pop %eax`, a load of the saved eax, or `rep movsl`, which copies it.
struct ExitPoint {
  Va load;
  // Where a vCPU stands that a watch on the saved rax has stopped: at the next instruction, or in
  // the midst of a repeated one.
  Va loaded;
  // Or at one of these, when the stop comes late (EntryStore::late_pc): where QEMU's translation
  // block goes on. rax still holds the result.
  std::vector<Va> late;
  // The first instruction from `loaded` on that can be emulated and skipped; `loaded` where there
  // is none before the path forks. A breakpoint goes here.
  Va breakpoint;

  friend bool operator==(const ExitPoint&, const ExitPoint&) = default;
};

// All ways out that the code from `entry`, of so many bits, can lead to, both sides of each branch,
// over calls; but not those on which the code itself finds that it goes back to kernel code.
// Exceptions leave the kernel by some of them too. Lowest address first; kNotFound: none within
// bounds.
[[nodiscard]] Result<std::vector<ExitPoint>> find_exit_points(VirtualMemory& kernel, Va entry,
                                                              unsigned bits = 64);

}  // namespace swat::os::x86
