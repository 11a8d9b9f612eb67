#include "osmodels/linux/kernel_locator.hpp"

#include <optional>

namespace swat::os {
namespace {

// __START_KERNEL_map and the most that KASLR lets the image use of it. With KASLR modules begin at
// its end, without at +512 MiB, far behind the image in both cases.
// [Documentation/x86/x86_64/mm.rst]
constexpr VaRange kImageWindow{Va{0xffffffff80000000}, Va{0xffffffffc0000000}};
constexpr std::uint64_t kLeastImageBytes = 3 << 20;
constexpr std::uint64_t kMostImageBytes = 160 << 20;
// Freed init sections and alignment leave holes inside an image.
constexpr std::uint64_t kWidestHole = 16 << 20;
constexpr std::uint64_t kLargestLeaf = 2 << 20;  // the image is never mapped with 1 GiB pages

struct Leaf {
  Va at;
  Translation to;
};

Result<std::vector<Leaf>> leaves_of(AddressSpace& space) {
  std::vector<Leaf> leaves;
  SWAT_CHECK(space.for_each_leaf(kImageWindow, [&](Va at, const Translation& to) {
    leaves.push_back({at, to});
    return true;
  }));
  return leaves;
}

std::uint64_t size_of(const std::vector<Leaf>& leaves) {
  std::uint64_t bytes = 0;
  for (const Leaf& leaf : leaves) bytes += leaf.to.page_bytes;
  return bytes;
}

// The leaves in runs without a wide hole, none of them too long for an image.
std::vector<std::vector<Leaf>> runs_of(const std::vector<Leaf>& leaves) {
  std::vector<std::vector<Leaf>> runs;
  for (const Leaf& leaf : leaves) {
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
std::vector<Leaf> image_run(const std::vector<Leaf>& leaves, std::optional<Va> entry) {
  std::vector<Leaf> fallback;
  for (std::vector<Leaf>& run : runs_of(leaves)) {
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
  const Result<IdtGate> gate = read_idt_gate(space, tables->idt_base, kPageFault);
  if (gate && kImageWindow.contains(gate->target)) return gate->target;
  return {};
}

Result<> copy_image(GuestView& guest, const std::vector<Leaf>& run, LocatedKernel& kernel) {
  kernel.base = run.front().at;
  kernel.bytes.resize(run.back().at + run.back().to.page_bytes - kernel.base);
  std::vector<PhysicalMemory::Piece> pieces;
  for (const Leaf& leaf : run) {
    const auto into = std::span(kernel.bytes).subspan(leaf.at - kernel.base, leaf.to.page_bytes);
    if (!pieces.empty() && pieces.back().at + pieces.back().into.size() == leaf.to.at &&
        pieces.back().into.data() + pieces.back().into.size() == into.data()) {
      pieces.back().into = {pieces.back().into.data(), pieces.back().into.size() + into.size()};
    } else {
      pieces.push_back({leaf.to.at, into});
    }
  }
  for (const PhysicalMemory::Piece& piece : pieces) {
    const Result<> got = guest.ram().read(piece.at, piece.into);
    if (!got && got.error().code != Errc::kFault) return got;  // outside RAM: stays zero
  }
  return {};
}

}  // namespace

Result<IdtGate> read_idt_gate(VirtualMemory& memory, Va idt_base, unsigned vector) {
  // 64-bit gate: offset 15:0, selector, IST and type, offset 31:16, offset 63:32, reserved.
  // [Intel SDM vol. 3, figure 6-8]
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
  const Gate gate =
      SWAT_TRY(read_as<Gate>(memory, idt_base + std::uint64_t{vector} * sizeof(Gate)));
  if ((gate.attributes & kPresent) == 0) return fail(Errc::kNotFound, "gate not present");
  const Va target{std::uint64_t{gate.offset_high} << 32 | std::uint64_t{gate.offset_middle} << 16 |
                  gate.offset_low};
  return IdtGate{target, (gate.attributes & kUserPrivilege) == kUserPrivilege};
}

Result<LocatedKernel> locate_kernel(GuestView& guest) {
  if (guest.architecture() != Architecture::kX86_64) {
    return fail(Errc::kUnsupported, "only x86_64 Linux is modelled yet");
  }
  LocatedKernel kernel;
  kernel.geometry = SWAT_TRY(x86_geometry(guest, 0));
  if (kernel.geometry != find_geometry("x86_64-4level") &&
      kernel.geometry != find_geometry("x86_64-5level")) {
    return fail(Errc::kUnsupported, "the CPU is not in long mode");
  }
  std::vector<Leaf> best;
  for (const Pa root : candidate_roots(guest)) {
    AddressSpace space(guest.ram(), *kernel.geometry, root);
    std::vector<Leaf> leaves = SWAT_TRY(leaves_of(space));
    if (size_of(leaves) <= size_of(best)) continue;
    best = std::move(leaves);
    kernel.root = root;
  }
  AddressSpace space(guest.ram(), *kernel.geometry, kernel.root);
  const std::optional<Va> entry = entry_of(guest, space);
  const std::vector<Leaf> run = image_run(best, entry);
  if (run.empty()) {
    return fail(Errc::kNotFound, "no kernel image is mapped where x86_64 Linux has its own");
  }
  kernel.entry = entry.value_or(run.front().at);
  SWAT_CHECK(copy_image(guest, run, kernel));
  return kernel;
}

}  // namespace swat::os
