#include "osmodels/linux/kernel_locator.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "osmodels/linux/kernel_locator_i386.hpp"
#include "osmodels/linux/kernel_run.hpp"

namespace swat::os {
namespace {

// __START_KERNEL_map and the most that KASLR lets the image use of it. With KASLR modules begin at
// its end, without at +512 MiB, far behind the image in both cases.
// [Documentation/x86/x86_64/mm.rst]
constexpr VaRange kImageWindow{Va{0xffffffff80000000}, Va{0xffffffffc0000000}};
constexpr std::uint64_t kLargestLeaf = 2 << 20;  // the image is never mapped with 1 GiB pages

Result<std::vector<KernelLeaf>> leaves_of(AddressSpace& space) {
  std::vector<KernelLeaf> leaves;
  SWAT_CHECK(space.for_each_leaf(kImageWindow, [&](Va at, const Translation& to) {
    leaves.push_back({at, to});
    return true;
  }));
  return leaves;
}

std::uint64_t size_of(const std::vector<KernelLeaf>& leaves) {
  std::uint64_t bytes = 0;
  for (const KernelLeaf& leaf : leaves) bytes += leaf.to.page_bytes;
  return bytes;
}

// The leaves in runs without a wide hole, none of them too long for an image.
std::vector<std::vector<KernelLeaf>> runs_of(const std::vector<KernelLeaf>& leaves) {
  std::vector<std::vector<KernelLeaf>> runs;
  for (const KernelLeaf& leaf : leaves) {
    if (leaf.to.page_bytes > kLargestLeaf) continue;
    const bool joins =
        !runs.empty() &&
        leaf.at - (runs.back().back().at + runs.back().back().to.page_bytes) <= kWidestHole &&
        leaf.at + leaf.to.page_bytes - runs.back().front().at <= kMostImageBytes;
    if (!joins) runs.emplace_back();
    runs.back().push_back(leaf);
  }
  return runs;
}

// The run that holds `entry`; without one, the first that is large enough. Empty when none is.
std::vector<KernelLeaf> image_run(const std::vector<KernelLeaf>& leaves, std::optional<Va> entry) {
  std::vector<KernelLeaf> fallback;
  for (std::vector<KernelLeaf>& run : runs_of(leaves)) {
    if (size_of(run) < kLeastImageBytes) continue;
    const VaRange extent{run.front().at, run.back().at + run.back().to.page_bytes};
    if (entry && extent.contains(*entry)) return std::move(run);
    if (fallback.empty()) fallback = std::move(run);
  }
  return fallback;
}

std::vector<Pa> candidate_roots(GuestView& guest) {
  constexpr std::uint64_t kPcidAndFlags = 0xfff | std::uint64_t{1} << 63;
  constexpr std::uint64_t kUserHalf = 0x1000;
  std::vector<Pa> roots;
  for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
    const Result<std::uint64_t> cr3 = guest.reg(vcpu, "cr3");
    if (!cr3) continue;
    for (const std::uint64_t root : {*cr3 & ~kPcidAndFlags, *cr3 & ~kPcidAndFlags & ~kUserHalf}) {
      if (std::ranges::find(roots, Pa{root}) == roots.end()) roots.push_back(Pa{root});
    }
  }
  return roots;
}

// LSTAR, else the target of a gate that every x86_64 kernel sets up: page fault.
std::optional<Va> entry_of(GuestView& guest, AddressSpace& space) {
  constexpr unsigned kPageFault = 14;
  const Result<X86SystemTables> tables = guest.x86_tables(0);
  if (!tables) return {};
  if (tables->lstar && kImageWindow.contains(*tables->lstar)) return tables->lstar;
  const Result<IdtGate> gate = read_idt_gate(space, tables->idt_base, kPageFault, 8);
  if (gate && kImageWindow.contains(gate->target)) return gate->target;
  return {};
}

// Both halves of KPTI map the entries. What lies before another kernel's root is no page table.
bool maps_entry_of_cpu(GuestView& guest, AddressSpace& space, const PageGeometry& geometry) {
  const std::vector<Pa> roots = candidate_roots(guest);
  if (roots.empty()) return false;
  AddressSpace cpu(guest.ram(), geometry, roots.front());
  const std::optional<Va> entry = entry_of(guest, cpu);
  const auto there = entry ? cpu.translate(*entry) : Result<Translation>(fail(Errc::kFault, ""));
  if (!there) return true;  // cannot be told
  const auto here = space.translate(*entry);
  return here && here->at == there->at;
}

// Until 2.6.10 the direct map was at 1 TiB, and a process had the three levels of page tables below
// an entry of the CPU's own topmost table. [include/asm-x86_64/page.h, pgtable.h of 2.6.10]
constexpr Va kLowDirectMap{0x0000010000000000};

bool has_low_direct_map(AddressSpace& space) {
  const auto start = space.translate(kLowDirectMap);
  return start && !start->user && start->at.value == 0;
}

Result<LocatedKernel> locate_x86_64(GuestView& guest, const PageGeometry& geometry) {
  LocatedKernel kernel;
  kernel.layout = kX86_64Layout;
  kernel.geometry = &geometry;
  kernel.user_geometry = kernel.geometry;
  std::vector<KernelLeaf> best;
  for (const Pa root : candidate_roots(guest)) {
    AddressSpace space(guest.ram(), *kernel.geometry, root);
    if (!maps_entry_of_cpu(guest, space, geometry)) continue;
    std::vector<KernelLeaf> leaves = SWAT_TRY(leaves_of(space));
    if (size_of(leaves) <= size_of(best)) continue;
    best = std::move(leaves);
    kernel.root = root;
  }
  AddressSpace space(guest.ram(), *kernel.geometry, kernel.root);
  const std::optional<Va> entry = entry_of(guest, space);
  const std::vector<KernelLeaf> run = image_run(best, entry);
  if (run.empty()) {
    return fail(Errc::kNotFound, "no kernel image is mapped where x86_64 Linux has its own");
  }
  kernel.entry = entry.value_or(run.front().at);
  SWAT_CHECK(copy_image(guest, run, kernel));
  if (has_low_direct_map(space)) {
    kernel.layout.lowest_address = kLowDirectMap.value;
    kernel.user_geometry = find_geometry("x86_64-3level");
  }
  return kernel;
}

// Which kernel it is, the mode of the CPU says: one of 32 bits runs on x86_64 as well.
Result<LocatedKernel> locate_x86(GuestView& guest) {
  const PageGeometry* geometry = SWAT_TRY(x86_geometry(guest, 0));
  const bool is_32_bit = geometry == find_geometry("i386") || geometry == find_geometry("i386-pae");
  return is_32_bit ? locate_i386_kernel(guest, *geometry) : locate_x86_64(guest, *geometry);
}

// Old kernels map the hole below 1 MiB along with their image: that stays zero.
Result<> read_what_is_ram(PhysicalMemory& ram, const PhysicalMemory::Piece& piece) {
  for (const PaRange& range : ram.ranges()) {
    const Pa start = std::max(range.start, piece.at);
    const Pa end = std::min(range.end, piece.at + piece.into.size());
    if (start >= end) continue;
    const Result<> got = ram.read(start, piece.into.subspan(start - piece.at, end - start));
    if (!got && got.error().code != Errc::kFault) return got;
  }
  return {};
}

struct LocatorRow {
  Architecture architecture;
  Result<LocatedKernel> (*locate)(GuestView&);
};
constexpr LocatorRow kLocators[] = {
    {Architecture::kX86_64, locate_x86},
    {Architecture::kI386, locate_x86},
    {Architecture::kArm, locate_arm_kernel},
    {Architecture::kAarch64, locate_aarch64_kernel},
};

}  // namespace

Result<IdtGate> read_idt_gate(VirtualMemory& memory, Va idt_base, unsigned vector,
                              unsigned word_bytes) {
  // Offset 15:0, selector, attributes (with IST), offset 31:16; of 64 bits also offset 63:32 and a
  // reserved word. [Intel SDM vol. 3, figures 6-2 and 6-8]
  struct Gate {
    std::uint16_t offset_low;
    std::uint16_t selector;
    std::uint16_t attributes;
    std::uint16_t offset_middle;
    std::uint32_t offset_high;
    std::uint32_t reserved;
  };
  static_assert(sizeof(Gate) == 16);
  constexpr std::uint16_t kPresent = 0x8000;
  constexpr std::uint16_t kUserPrivilege = 0x6000;  // DPL 3
  const std::size_t gate_bytes = 2 * std::size_t{word_bytes};
  Gate gate{};
  SWAT_CHECK(memory.read(idt_base + vector * gate_bytes,
                         std::as_writable_bytes(std::span(&gate, 1)).first(gate_bytes)));
  if ((gate.attributes & kPresent) == 0) return fail(Errc::kNotFound, "gate not present");
  const Va target{std::uint64_t{gate.offset_high} << 32 | std::uint64_t{gate.offset_middle} << 16 |
                  gate.offset_low};
  return IdtGate{target, (gate.attributes & kUserPrivilege) == kUserPrivilege};
}

Result<> copy_image(GuestView& guest, const std::vector<KernelLeaf>& run, LocatedKernel& kernel) {
  kernel.base = run.front().at;
  kernel.bytes = ZeroedBytes(run.back().at + run.back().to.page_bytes - kernel.base);
  std::vector<PhysicalMemory::Piece> pieces;
  for (const KernelLeaf& leaf : run) {
    const auto into = kernel.bytes.all().subspan(leaf.at - kernel.base, leaf.to.page_bytes);
    if (!pieces.empty() && pieces.back().at + pieces.back().into.size() == leaf.to.at &&
        pieces.back().into.data() + pieces.back().into.size() == into.data()) {
      pieces.back().into = {pieces.back().into.data(), pieces.back().into.size() + into.size()};
    } else {
      pieces.push_back({leaf.to.at, into});
    }
  }
  for (const PhysicalMemory::Piece& piece : pieces) {
    SWAT_CHECK(read_what_is_ram(guest.ram(), piece));
  }
  return {};
}

Result<LocatedKernel> locate_kernel(GuestView& guest) {
  const auto* const row =
      std::ranges::find(kLocators, guest.architecture(), &LocatorRow::architecture);
  if (row != std::end(kLocators)) return row->locate(guest);
  return fail(Errc::kUnsupported,
              "Linux on " + std::string(to_string(guest.architecture())) + " is not modelled yet");
}

}  // namespace swat::os
