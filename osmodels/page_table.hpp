// Page tables, walked by us: any address space of the guest, not only the current one.
//
// What differs between architectures is a row of kGeometries, not code.
// [Intel SDM vol. 3 chapter 4; Arm ARM DDI 0487 D8, DDI 0406 B3]
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "osmodels/guest.hpp"
#include "symbols/memory.hpp"

namespace swat::os {

struct PageGeometry;  // levels, index bits, masks, tests: page_table.cpp

// By name: "x86_64-4level", "x86_64-5level", "i386", "i386-pae" (ARM and AArch64 come as rows).
[[nodiscard]] const PageGeometry* find_geometry(std::string_view name);
// What a stopped x86 vCPU uses, by its CR0, CR4 and EFER.
[[nodiscard]] Result<const PageGeometry*> x86_geometry(GuestView& guest, unsigned vcpu);

// One leaf: [va, va+size) -> pa.
struct Translation {
  Pa at;
  std::uint64_t page_bytes;  // of the leaf: 4096, 2 MiB, ...
  bool user;
  bool writable;
  bool executable;
};

// An address space: a root and its geometry over guest RAM. Translations are kept until
// forget(): call it whenever the guest has run and user mappings may have changed.
class AddressSpace final : public VirtualMemory {
 public:
  // `ram` outlives this. `root` is the table's physical address, no flag bits.
  AddressSpace(PhysicalMemory& ram, const PageGeometry& geometry, Pa root)
      : ram_(ram), geometry_(geometry), root_(root) {}

  [[nodiscard]] Pa root() const { return root_; }
  // kFault: not present, or the walk left RAM.
  [[nodiscard]] Result<Translation> translate(Va at);
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;
  void forget() { cache_.clear(); }

  // Every present leaf within `range`, ascending; stops when `visit` returns false.
  [[nodiscard]] Result<> for_each_leaf(VaRange range,
                                       const std::function<bool(Va, const Translation&)>& visit);

 private:
  PhysicalMemory& ram_;
  const PageGeometry& geometry_;
  Pa root_;
  std::unordered_map<std::uint64_t, Translation> cache_;  // by 4 KiB page number
};

}  // namespace swat::os
