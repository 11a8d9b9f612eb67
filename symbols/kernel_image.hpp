// A contiguous piece of a guest kernel's virtual address space, copied once and searched many times
// (kallsyms, BTF, VMCOREINFO, __ksymtab, banner).
#pragma once

#include <cstddef>
#include <span>

#include "symbols/address.hpp"

namespace swat::symbols {

// `bytes[i]` lies at `base + i`. Pages that are not mapped are zero. The bytes outlive this.
struct KernelImage {
  Va base;
  std::span<const std::byte> bytes;
  unsigned pointer_bytes = 8;  // 4 or 8

  [[nodiscard]] VaRange range() const { return {base, base + bytes.size()}; }
  [[nodiscard]] Va address_of(std::size_t offset) const { return base + offset; }
};

}  // namespace swat::symbols
