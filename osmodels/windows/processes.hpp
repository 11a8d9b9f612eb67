// EPROCESS and ETHREAD: who there is, and who runs.
//
// PsInitialSystemProcess points to the System process. All processes are in one ring through
// ActiveProcessLinks, whose head, PsActiveProcessHead, lies in the kernel's image and is none.
#pragma once

#include <vector>

#include "osmodels/model.hpp"
#include "osmodels/page_table.hpp"
#include "osmodels/windows/offsets.hpp"
#include "symbols/memory.hpp"

namespace swat::os::windows {

// What all readers of kernel structures need. All outlives them.
struct KernelSpace {
  VirtualMemory& memory;  // the System process's, which maps all but session space
  const PageGeometry& geometry;
  WindowsOffsets offsets;
  unsigned word_bytes;
  VaRange image;  // of the kernel

  [[nodiscard]] bool is_pointer(Va at) const {
    const std::uint64_t lowest = word_bytes == 8 ? 0xffff'8000'0000'0000 : 0x8000'0000;
    return at.value >= lowest && at.value % word_bytes == 0;
  }
};

// A word at `at`, extended with zeros.
[[nodiscard]] Result<std::uint64_t> read_pointer(VirtualMemory& memory, Va at, unsigned word_bytes);

struct ProcessEntry {
  Process process;
  Va peb;    // null: it has none, or none yet
  Va wow64;  // null: a process of the kernel's own word size
};

// The EPROCESS at `object`. kBadImage: it is none.
[[nodiscard]] Result<ProcessEntry> read_process(const KernelSpace& kernel, Va object);
// From System on, in the ring's order. kBadImage: the ring has no end.
[[nodiscard]] Result<std::vector<ProcessEntry>> read_ring(const KernelSpace& kernel, Va system);
// Who runs on the processor of this KPCR. The process is the one whose address space the thread is
// in, which is not its own while it is attached to another.
[[nodiscard]] Result<Thread> read_current(const KernelSpace& kernel, Va kpcr);

}  // namespace swat::os::windows
