// A 32-bit ARM kernel: its vectors name the entry of system calls, and the image lies around it in
// the kernel's direct map of low memory, all of which is mapped.
//
// Tables of processes map the kernel as well; TTBR1 is used only where TTBCR.N says so. The vector
// of SVC loads pc from a word at a fixed distance: vector_swi's address, since 2.6 at least.
// [arch/arm/kernel/entry-armv.S; arch/arm/kernel/vmlinux.lds.S; arch/arm/Kconfig, PAGE_OFFSET]

#include <algorithm>
#include <array>
#include <optional>

#include "osmodels/architecture.hpp"
#include "osmodels/linux/kernel_run.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kSvcVector = 8;
constexpr std::uint64_t kMegabyte = 1 << 20;
// The code that vectors lead to is near the start of the image; Debian's 6.1 has 30 MiB.
constexpr std::uint64_t kMostBefore = 4 * kMegabyte;
constexpr std::uint64_t kMostBehind = 48 * kMegabyte;
// VMSPLIT_3G, VMSPLIT_3G_OPT, VMSPLIT_2G, VMSPLIT_1G. [arch/arm/Kconfig]
constexpr std::uint64_t kPageOffsets[] = {0xc0000000, 0xb0000000, 0x80000000, 0x40000000};

// SCTLR.V: "high vectors"; else where VBAR says, or at 0 on CPUs without it. [DDI 0406C, B1.8.1]
Result<Va> vectors_of(GuestView& guest, unsigned vcpu) {
  constexpr std::uint64_t kHighVectors = 1 << 13;
  constexpr Va kHigh{0xffff0000};
  if ((SWAT_TRY(system_register(guest, vcpu, "SCTLR")) & kHighVectors) != 0) return kHigh;
  const Result<std::uint64_t> base = system_register(guest, vcpu, "VBAR");
  if (!base && base.error().code != Errc::kNotFound) return tl::unexpected(base.error());
  return Va{base.value_or(0)};
}

Result<std::vector<Pa>> candidate_roots(GuestView& guest, const GeometryPair& geometry) {
  constexpr std::uint64_t kTableBits = 0x000000ffffffffe0;  // of a long descriptor's TTBR0
  const bool is_long = geometry.user == find_geometry("arm-lpae");
  const bool is_split = geometry.user != geometry.kernel;
  std::vector<Pa> roots;
  for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
    Result<std::uint64_t> table = guest.reg(vcpu, is_long    ? "TTBR0"
                                                  : is_split ? "TTBR1_EL1"
                                                             : "TTBR0_EL1");
    if (!table) continue;
    const std::uint64_t mask =
        is_long ? kTableBits : 0xffffffff & ~(root_bytes(*geometry.kernel) - 1);
    roots.push_back(Pa{*table & mask});
  }
  return roots;
}

// Where the SVC vector leads.
Result<Va> svc_entry(VirtualMemory& memory, Va vectors) {
  // `ldr pc, [pc, #imm12]`, U set; pc is two instructions ahead. [DDI 0406C, A8.8.64]
  constexpr std::uint32_t kLoadPc = 0xe59ff000;
  constexpr std::uint32_t kDistance = 0xfff;
  const Va vector = vectors + kSvcVector;
  const auto code = SWAT_TRY(read_as<std::uint32_t>(memory, vector));
  if ((code & ~kDistance) != kLoadPc) {
    return fail(Errc::kNotFound, "the SVC vector is not as Linux has it", vector.value);
  }
  return Va{SWAT_TRY(read_as<std::uint32_t>(memory, vector + 8 + (code & kDistance)))};
}

struct DirectMap {
  Va entry;
  std::uint64_t displacement;  // from a physical address to the kernel's
};

std::optional<DirectMap> direct_map_of(AddressSpace& space, Va vectors) {
  const Result<Va> entry = svc_entry(space, vectors);
  if (!entry) return {};
  const Result<Translation> code = space.translate(*entry);
  if (!code || code->user) return {};
  return DirectMap{*entry, (entry->value - code->at.value) & 0xffffffff};
}

// Low memory is one piece, but what is behind the kernel may be left out of it.
Result<std::vector<KernelLeaf>> image_around(AddressSpace& space, const DirectMap& map,
                                             Va page_offset) {
  const Va low = std::max(page_offset, Va{map.entry.value - kMostBefore}).aligned_down(kMegabyte);
  const VaRange window{low, Va{std::min<std::uint64_t>(low.value + kMostBehind, 0xfff00000)}};
  std::vector<KernelLeaf> run;
  SWAT_CHECK(space.for_each_leaf(window, [&](Va at, const Translation& to) {
    const bool same = !to.user && ((at.value - to.at.value) & 0xffffffff) == map.displacement;
    if (same) run.push_back({at, to});
    return true;
  }));
  return run;
}

}  // namespace

Result<LocatedKernel> locate_arm_kernel(GuestView& guest) {
  const GeometryPair geometry = SWAT_TRY(arm_geometries(guest, 0));
  const Va vectors = SWAT_TRY(vectors_of(guest, 0));
  LocatedKernel kernel;
  kernel.geometry = geometry.kernel;
  kernel.user_geometry = geometry.user;
  for (const Pa root : SWAT_TRY(candidate_roots(guest, geometry))) {
    AddressSpace space(guest.ram(), *kernel.geometry, root);
    const std::optional<DirectMap> map = direct_map_of(space, vectors);
    if (!map) continue;
    const auto* const split = std::ranges::find_if(
        kPageOffsets, [&](std::uint64_t offset) { return map->entry.value >= offset; });
    if (split == std::end(kPageOffsets)) continue;
    const std::vector<KernelLeaf> run = SWAT_TRY(image_around(space, *map, Va{*split}));
    if (run.empty()) continue;
    kernel.root = root;
    kernel.entry = map->entry;
    kernel.layout = {4, *split, root_bytes(*geometry.user)};
    SWAT_CHECK(copy_image(guest, run, kernel));
    return kernel;
  }
  return fail(Errc::kNotFound, "the CPU's vectors lead to no Linux kernel");
}

}  // namespace swat::os
