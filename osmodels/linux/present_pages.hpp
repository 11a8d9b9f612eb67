// What the page tables of an address space and its VMAs say of the same pages.
#pragma once

#include <vector>

#include "osmodels/linux/inference.hpp"

namespace swat::os::inference {

// One page of a VMA that is present in its page table.
struct PresentPage {
  const Vma* vma;
  Translation to;
};

// At most one of each VMA, which outlives it.
[[nodiscard]] std::vector<PresentPage> present_pages(AddressSpace& user,
                                                     const std::vector<Vma>& vmas);

// How many of the pages have the rights that vm_flags would give them if it were at `offset`; 0
// when too few of the VMAs may be read at all.
[[nodiscard]] std::size_t pages_that_agree(const std::vector<PresentPage>& pages,
                                           std::uint32_t offset, const KernelLayout& layout);

}  // namespace swat::os::inference
