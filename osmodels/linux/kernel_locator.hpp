// Finds a Linux kernel below a stopped guest: a page table that maps all of it, and its image.
//
// x86_64: a vCPU may stand in user mode with page-table isolation (KPTI, since 4.15): its CR3 then
// names a table that maps little of the kernel, and the kernel's own table is the page before it
// (CR3 with bit 12 clear). Whichever root of all vCPUs maps most of the image's range is taken.
// [Documentation/arch/x86/x86_64/mm.rst, arch/x86/mm/pti.c of Linux]
// AArch64, i386: see kernel_locator_aarch64.cpp, kernel_locator_i386.cpp.
#pragma once

#include <vector>

#include "osmodels/guest.hpp"
#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/linux/zeroed_bytes.hpp"
#include "osmodels/page_table.hpp"
#include "symbols/kernel_image.hpp"

namespace swat::os {

struct LocatedKernel {
  const PageGeometry* geometry = nullptr;       // of the kernel's addresses
  const PageGeometry* user_geometry = nullptr;  // of the user's; the same where one table has both
  KernelLayout layout;
  Pa root;            // maps kernel and per-CPU data; may be a process's
  Va entry;           // an address of kernel text that the CPU itself names
  Va base;            // of the image
  ZeroedBytes bytes;  // of the image; unmapped pages are zero

  [[nodiscard]] symbols::KernelImage image() const {
    return {base, bytes.all(), layout.word_bytes};
  }
};

// kNotFound: no Linux kernel is mapped there; kUnsupported: an architecture that has no row.
[[nodiscard]] Result<LocatedKernel> locate_kernel(GuestView& guest);

struct IdtGate {
  Va target;
  bool for_user;  // user mode may enter it with `int`
};
// Gate `vector` of the IDT of a kernel whose words are so wide. kNotFound: the gate is not present.
[[nodiscard]] Result<IdtGate> read_idt_gate(VirtualMemory& memory, Va idt_base, unsigned vector,
                                            unsigned word_bytes);

}  // namespace swat::os
