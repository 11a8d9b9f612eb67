#include "osmodels/linux/kernel_locator_i386.hpp"

#include <optional>

#include "osmodels/linux/kernel_run.hpp"

namespace swat::os {
namespace {

constexpr unsigned kPageFault = 14;
constexpr std::uint64_t kPage = 4096;
// Exception entries are near the end of the code, which has 3 to 12 MiB; data follows. Debian's 6.1
// has 24 MiB in all.
constexpr std::uint64_t kMostBefore = 16 << 20;
constexpr std::uint64_t kMostBehind = 32 << 20;
constexpr std::uint64_t kLeastMappedBytes = 1 << 20;
// VMSPLIT_1G to VMSPLIT_3G. [arch/x86/Kconfig]
constexpr std::uint64_t kPageOffsets[] = {0xc0000000, 0xb0000000, 0x80000000, 0x78000000,
                                          0x40000000};

// With page-table isolation (since 4.19, PAE only) the user half's root is a page further on.
// [arch/x86/entry/entry_32.S, PTI_SWITCH_MASK]
std::vector<Pa> candidate_roots(GuestView& guest, const PageGeometry& geometry) {
  constexpr std::uint64_t kUserHalf = 0x1000;
  std::vector<Pa> roots;
  for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
    const Result<std::uint64_t> cr3 = guest.reg(vcpu, "cr3");
    if (!cr3) continue;
    const std::uint64_t root = *cr3 & 0xffffffff & ~(root_bytes(geometry) - 1);
    roots.push_back(Pa{root & ~kUserHalf});
    roots.push_back(Pa{root});
  }
  return roots;
}

struct DirectMap {
  Va entry;
  std::uint64_t page_offset;
};

std::optional<DirectMap> direct_map_of(AddressSpace& space, Va idt_base) {
  const Result<IdtGate> gate = read_idt_gate(space, idt_base, kPageFault, 4);
  if (!gate) return {};
  const Result<Translation> code = space.translate(gate->target);
  if (!code || code->user) return {};
  const std::uint64_t offset = gate->target.value - code->at.value;
  const bool known = std::ranges::find(kPageOffsets, offset) != std::end(kPageOffsets);
  return known ? std::optional(DirectMap{gate->target, offset}) : std::nullopt;
}

// The kernel's own root maps all of the direct map around the entry; a user half only a little.
std::uint64_t mapped_around(AddressSpace& space, const DirectMap& map, VaRange window) {
  std::uint64_t bytes = 0;
  const auto walked = space.for_each_leaf(window, [&](Va at, const Translation& to) {
    if (at.value - to.at.value == map.page_offset) bytes += to.page_bytes;
    return true;
  });
  return walked ? bytes : 0;
}

VaRange window_around(const DirectMap& map) {
  const std::uint64_t low = map.entry.value & ~(kPage - 1);
  const std::uint64_t start =
      low - map.page_offset > kMostBefore ? low - kMostBefore : map.page_offset;
  return {Va{start}, Va{std::min<std::uint64_t>(low + kMostBehind, 0xfffff000)}};
}

// Page by page: a large one may begin before the window.
std::vector<KernelLeaf> pages_in(AddressSpace& space, const DirectMap& map, VaRange window) {
  std::vector<KernelLeaf> pages;
  for (Va at = window.start; at < window.end; at = at + kPage) {
    const Result<Translation> to = space.translate(at);
    if (!to || to->user || at.value - to->at.value != map.page_offset) continue;
    pages.push_back({at, *to});
    pages.back().to.page_bytes = kPage;
  }
  return pages;
}

}  // namespace

Result<LocatedKernel> locate_i386_kernel(GuestView& guest, const PageGeometry& geometry) {
  const X86SystemTables tables = SWAT_TRY(guest.x86_tables(0));
  LocatedKernel kernel;
  kernel.geometry = &geometry;
  kernel.user_geometry = &geometry;
  std::optional<DirectMap> map;
  std::uint64_t best = 0;
  for (const Pa root : candidate_roots(guest, geometry)) {
    AddressSpace space(guest.ram(), geometry, root);
    const auto found = direct_map_of(space, tables.idt_base);
    const std::uint64_t mapped = found ? mapped_around(space, *found, window_around(*found)) : 0;
    if (mapped <= best) continue;
    best = mapped;
    map = found;
    kernel.root = root;
  }
  if (best < kLeastMappedBytes) {
    return fail(Errc::kNotFound, "no kernel code is mapped where 32-bit Linux has its own");
  }
  kernel.layout = {4, map->page_offset, root_bytes(geometry)};
  kernel.entry = map->entry;
  AddressSpace space(guest.ram(), geometry, kernel.root);
  SWAT_CHECK(copy_image(guest, pages_in(space, *map, window_around(*map)), kernel));
  return kernel;
}

}  // namespace swat::os
