// The page tables that map a kernel, found without any of its structures: by what the topmost ones
// of all its address spaces have alike, the entry for its code.
//
// A table that a vCPU had when it was stopped is some process's, and goes with it. The kernel's own
// (swapper_pg_dir, init_top_pgt) lies in its image, and maps no user pages. Those of processes that
// do not run at the moment are somewhere in RAM; a table that was freed maps nothing of the user's
// any more. [free_pgtables() in mm/memory.c]
#pragma once

#include <optional>
#include <vector>

#include "osmodels/linux/kernel_locator.hpp"

namespace swat::os {

class KernelTables {
 public:
  // Both outlive this.
  KernelTables(PhysicalMemory& ram, const LocatedKernel& kernel);

  // The kernel's own. Nullopt: it lies elsewhere.
  [[nodiscard]] std::optional<Pa> own() const;
  // Every root in RAM, all of which is read, the kernel's own among them. Empty where the kernel is
  // not mapped by the tables that map user pages (AArch64; x86_64 until 2.6.10).
  [[nodiscard]] Result<std::vector<Pa>> all() const;

 private:
  [[nodiscard]] std::uint64_t entry_at(std::span<const std::byte> bytes) const;
  [[nodiscard]] bool has_kernel(std::span<const std::byte> table) const;
  [[nodiscard]] bool maps_alike(Pa root) const;
  void add_roots(Pa at, std::span<const std::byte> bytes, std::vector<Pa>& roots) const;

  PhysicalMemory& ram_;
  const LocatedKernel& kernel_;
  std::uint64_t table_bytes_;
  std::uint64_t code_at_;   // offset in a table of the entry for the kernel's code
  std::uint64_t code_ = 0;  // that entry; 0: it cannot be read
};

}  // namespace swat::os
