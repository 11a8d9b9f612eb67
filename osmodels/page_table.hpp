// Page tables, walked by us: any address space of the guest, not only the current one.
//
// What differs between architectures is a row of kGeometries, not code.
// [Intel SDM vol. 3 chapter 4; Arm ARM DDI 0487 D5, DDI 0406 B3]
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "osmodels/guest.hpp"
#include "symbols/memory.hpp"

namespace swat::os {

struct PageGeometry;  // levels, index bits, masks, tests: page_table.cpp

// By name: "x86_64-4level", "x86_64-5level", "x86_64-3level", "i386", "i386-pae"; "arm-lpae",
// "arm-v5", "arm-v6", and "arm-v6-31bit" to "arm-v6-25bit" of user addresses where TTBCR.N says so;
// of AArch64, where a table has either user addresses or the kernel's, by granule, bits of an
// address, and half: "aarch64-4k-48-user", "aarch64-64k-42-kernel". Null: none of that name.
[[nodiscard]] const PageGeometry* find_geometry(std::string_view name);
// What a stopped x86 vCPU uses, by its CR0, CR4 and EFER.
[[nodiscard]] Result<const PageGeometry*> x86_geometry(GuestView& guest, unsigned vcpu);

// Of user addresses and of the kernel's; the same where one table has both.
struct GeometryPair {
  const PageGeometry* user = nullptr;
  const PageGeometry* kernel = nullptr;
};
// What a stopped AArch64 vCPU uses at EL1 and EL0, by its SCTLR_EL1 and TCR_EL1. kUnsupported: the
// MMU is off, or it is a geometry that there is no row for.
[[nodiscard]] Result<GeometryPair> aarch64_geometries(GuestView& guest, unsigned vcpu);
// The same of an ARM vCPU, by its SCTLR and TTBCR.
[[nodiscard]] Result<GeometryPair> arm_geometries(GuestView& guest, unsigned vcpu);
// Bytes of the topmost table, which is aligned to them.
[[nodiscard]] std::uint64_t root_bytes(const PageGeometry& geometry);
// Where the entry of the topmost table is that translates `at`.
[[nodiscard]] Pa root_entry_of(const PageGeometry& geometry, Pa root, Va at);
[[nodiscard]] unsigned entry_bytes(const PageGeometry& geometry);
// Bits of a virtual address that are translated.
[[nodiscard]] unsigned va_bits_of(const PageGeometry& geometry);

// One leaf: [va, va+size) -> pa.
struct Translation {
  Pa at;
  std::uint64_t page_bytes;  // of the leaf: 4096, 2 MiB, ...
  bool user;
  bool writable;
  bool executable;
};

// Where a page is that the guest's system has still in memory, though its entry (of the last level)
// says that it is not present; nullopt: it has not.
using AbsentPage = std::optional<Pa> (*)(std::uint64_t entry);

// An address space: a root and its geometry over guest RAM. Translations are kept until
// forget(): call it whenever the guest has run and user mappings may have changed.
class AddressSpace final : public VirtualMemory {
 public:
  // `ram` outlives this. `root` is the table's physical address, no flag bits. `absent_page`: null
  // for systems that keep no such pages; what it finds can be read, and has no rights.
  AddressSpace(PhysicalMemory& ram, const PageGeometry& geometry, Pa root,
               AbsentPage absent_page = nullptr)
      : ram_(ram), geometry_(geometry), root_(root), absent_page_(absent_page) {}

  [[nodiscard]] Pa root() const { return root_; }
  // kFault: not present, or the walk left RAM.
  [[nodiscard]] Result<Translation> translate(Va at);
  // The entry that says so of a page that is not present: 0 where nothing has been there, or not
  // yet. kNotFound: it is present; kFault: the walk left RAM.
  [[nodiscard]] Result<std::uint64_t> absent_entry(Va at);
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;
  void forget() { cache_.clear(); }

  // Every present leaf within `range`, ascending; stops when `visit` returns false.
  [[nodiscard]] Result<> for_each_leaf(VaRange range,
                                       const std::function<bool(Va, const Translation&)>& visit);

 private:
  // Of the table on that level, the one that translates `at`.
  [[nodiscard]] Result<std::uint64_t> entry(Pa table, std::size_t level, Va at);
  // Of an entry of that level that is absent.
  [[nodiscard]] std::optional<Pa> page_of_absent(std::size_t level, std::uint64_t entry) const;
  [[nodiscard]] Translation keep(Va at, Translation page);

  PhysicalMemory& ram_;
  const PageGeometry& geometry_;
  Pa root_;
  AbsentPage absent_page_;
  std::unordered_map<std::uint64_t, Translation> cache_;  // by 4 KiB page number
};

}  // namespace swat::os
