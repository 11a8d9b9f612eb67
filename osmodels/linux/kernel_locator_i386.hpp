// Finds a 32-bit x86 Linux kernel below a stopped guest, with or without PAE.
//
// Its image lies in the kernel's direct map of low memory, where the virtual address is the
// physical one and PAGE_OFFSET: 0xc0000000, or what another split of the address space makes it. So
// one translation of kernel code tells PAGE_OFFSET, wherever KASLR has put the image; how far the
// image reaches the page tables do not tell, as all of low memory is mapped around it.
// [arch/x86/Kconfig, PAGE_OFFSET; arch/x86/mm/init_32.c]
#pragma once

#include "osmodels/linux/kernel_locator.hpp"

namespace swat::os {

// `geometry`: that of the vCPUs. kNotFound: no Linux kernel is mapped there.
[[nodiscard]] Result<LocatedKernel> locate_i386_kernel(GuestView& guest,
                                                       const PageGeometry& geometry);

}  // namespace swat::os
