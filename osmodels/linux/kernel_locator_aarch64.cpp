// An AArch64 kernel: code is what only the kernel may execute, and the image lies around it.
//
// TTBR1_EL1 names the kernel's own page table while a vCPU is in the kernel. With page-table
// isolation (KPTI) it names the trampoline's in user mode, which maps a page or two; the kernel's
// then lies some pages further on, before or behind. [tramp_map_kernel in
// arch/arm64/kernel/entry.S; vmlinux.lds.S: tramp_pg_dir, reserved_pg_dir and swapper_pg_dir follow
// each other since 4.20; before, swapper_pg_dir was first]
// Where the image is in the kernel's half varies with version, size of an address and KASLR; that
// it is one piece of RAM does not. [Documentation/arm64/memory.rst, booting.rst]
#include <algorithm>
#include <array>
#include <optional>

#include "osmodels/architecture.hpp"
#include "osmodels/linux/kernel_run.hpp"
#include "osmodels/page_geometry.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kTableBits = 0x0000fffffffff000;  // of TTBR1_EL1; around it: ASID, CnP
constexpr std::uint64_t kMostBeforeCode = 4 << 20;        // of the image: its head

// Page tables of the kernel's own are as far apart as a page is large.
unsigned page_shift_of(const PageGeometry& geometry) {
  return geometry.levels[geometry.level_count - 1].shift;
}

// Pages from the trampoline's table to the kernel's, and none: the likeliest first.
constexpr std::array<int, 13> kDisplacements = {0, 2, 1, 3, 4, -1, -2, -3, -4, -5, -6, 5, 6};

std::uint64_t displacement(const KernelLeaf& leaf) { return leaf.at.value - leaf.to.at.value; }

// Kernel code in pieces that are contiguous in both address spaces.
class CodeRuns {
 public:
  void add(Va at, const Translation& to) {
    if (to.user || !to.executable) return;
    const bool joins =
        end_ == at && !run_.empty() && displacement(run_.front()) == displacement({at, to});
    if (!joins) close();
    run_.push_back({at, to});
    end_ = at + to.page_bytes;
  }
  // The longest; empty when none is long enough for a kernel's.
  std::vector<KernelLeaf> longest() {
    close();
    return size_of(longest_) >= kLeastImageBytes ? longest_ : std::vector<KernelLeaf>{};
  }

 private:
  static std::uint64_t size_of(const std::vector<KernelLeaf>& run) {
    return run.empty() ? 0 : run.back().at + run.back().to.page_bytes - run.front().at;
  }
  void close() {
    if (size_of(run_) > size_of(longest_)) longest_ = run_;
    run_.clear();
  }

  std::vector<KernelLeaf> run_;
  std::vector<KernelLeaf> longest_;
  Va end_;
};

Result<std::vector<KernelLeaf>> code_under(AddressSpace& space, Va lowest) {
  CodeRuns runs;
  SWAT_CHECK(
      space.for_each_leaf({lowest, Va{~std::uint64_t{0}}}, [&](Va at, const Translation& to) {
        runs.add(at, to);
        return true;
      }));
  return runs.longest();
}

// The leaves around `code` that map the same piece of RAM, without a wide hole.
Result<std::vector<KernelLeaf>> image_around(AddressSpace& space,
                                             const std::vector<KernelLeaf>& code) {
  const std::uint64_t same = displacement(code.front());
  const Va start = code.front().at;
  std::vector<KernelLeaf> run;
  const VaRange window{start - kMostBeforeCode, start + kMostImageBytes};
  SWAT_CHECK(space.for_each_leaf(window, [&](Va at, const Translation& to) {
    if (displacement({at, to}) != same || to.user) return true;
    const bool is_far =
        !run.empty() && at - (run.back().at + run.back().to.page_bytes) > kWidestHole;
    if (is_far && at > start) return false;
    if (is_far) run.clear();
    run.push_back({at, to});
    return true;
  }));
  return run;
}

std::vector<Pa> candidate_roots(GuestView& guest, unsigned page_shift) {
  const std::uint64_t page_bytes = std::uint64_t{1} << page_shift;
  std::vector<Pa> roots;
  for (const int pages : kDisplacements) {
    for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
      const auto table = guest.reg(vcpu, "TTBR1_EL1");
      if (!table || (*table & kTableBits) == 0) continue;
      const Pa root{(*table & kTableBits) + static_cast<std::uint64_t>(pages) * page_bytes};
      if (std::ranges::find(roots, root) == roots.end()) roots.push_back(root);
    }
  }
  return roots;
}

}  // namespace

Result<LocatedKernel> locate_aarch64_kernel(GuestView& guest) {
  const GeometryPair geometry = SWAT_TRY(aarch64_geometries(guest, 0));
  LocatedKernel kernel;
  kernel.geometry = geometry.kernel;
  kernel.user_geometry = geometry.user;
  const Va lowest{~std::uint64_t{0} << va_bits_of(*geometry.kernel)};
  constexpr std::uint64_t kFlag32Bit = 1 << 22;  // TIF_32BIT [arch/arm64/include/asm/thread_info.h]
  // Tables of a few entries share a page. [DDI 0487F, D13.2.135: TTBR0_EL1.BADDR]
  constexpr std::uint64_t kLeastTable = 64;
  const std::uint64_t table_bytes = std::max(root_bytes(*geometry.user), kLeastTable);
  kernel.layout = {8, lowest.value, table_bytes, kFlag32Bit, page_shift_of(*geometry.kernel)};
  for (const Pa root : candidate_roots(guest, kernel.layout.page_shift)) {
    AddressSpace space(guest.ram(), *kernel.geometry, root);
    const auto code = code_under(space, lowest);
    if (!code && code.error().code == Errc::kBadImage) continue;  // no page table
    if (!code) return tl::unexpected(code.error());
    if (code->empty()) continue;
    const std::vector<KernelLeaf> run = SWAT_TRY(image_around(space, *code));
    if (run.empty()) continue;
    kernel.root = root;
    kernel.entry = code->front().at;
    SWAT_CHECK(copy_image(guest, run, kernel));
    return kernel;
  }
  return fail(Errc::kNotFound, "no page table of a vCPU maps a kernel's code");
}

}  // namespace swat::os
