#include "osmodels/linux/user_roots.hpp"

#include <algorithm>
#include <array>

#include "osmodels/architecture.hpp"

namespace swat::os {
namespace {

constexpr std::uint64_t kUserHalf = 0x1000;

// Flags, PCID and ASID are around the address. [Intel SDM vol. 3, 4.5; Arm ARM DDI 0487, D17.2.147,
// DDI 0406, B4.1.154]
struct Row {
  Architecture architecture;
  std::string_view root;  // register
  std::uint64_t bits;     // of an address; those below the table's alignment are taken away
  bool may_be_split;
  std::string_view task;  // register that leads to it where the kernel can put the root away
};

constexpr Row kRows[] = {
    {Architecture::kI386, "cr3", 0xffffffff, true, ""},
    {Architecture::kX86_64, "cr3", 0x000fffffffffffff, true, ""},
    {Architecture::kArm, "TTBR0", 0xffffffffff, false, ""},
    {Architecture::kAarch64, "TTBR0", 0x0000ffffffffffff, false, "SP_EL0"},
};

const Row& row_of(Architecture architecture) {
  return *std::ranges::find(kRows, architecture, &Row::architecture);
}

}  // namespace

UserRoots::UserRoots(GuestView& guest, const LocatedKernel& kernel)
    : guest_(guest),
      geometry_(*kernel.geometry),
      root_bytes_(root_bytes(*kernel.user_geometry)),
      kernel_root_(kernel.root),
      kernel_code_(kernel.entry),
      kernel_data_(kernel.base + (kernel.bytes.size() - 1)),
      root_bits_(row_of(guest.architecture()).bits & ~(root_bytes_ - 1)),
      is_below_cpus_table_(guest.architecture() == Architecture::kX86_64 &&
                           kernel.user_geometry != kernel.geometry),
      may_be_split_(row_of(guest.architecture()).may_be_split) {}

Result<Pa> UserRoots::of(unsigned vcpu) {
  const Row& row = row_of(guest_.architecture());
  const std::uint64_t value = SWAT_TRY(system_register(guest_, vcpu, row.root));
  const Pa root{value & root_bits_};
  if (root.value == 0) return fail(Errc::kNotFound, "no page table");
  if (!row.task.empty() && !has_entries(root)) return put_away(vcpu);
  if (!is_below_cpus_table_) return kernel_half(root);
  const Pa below{SWAT_TRY(read_as<std::uint64_t>(guest_.ram(), root)) & root_bits_};
  if (below.value == 0) return fail(Errc::kNotFound, "no page table");
  return below;
}

bool UserRoots::has_entries(Pa root) {
  const auto table = read_bytes(guest_.ram(), root, root_bytes_);
  return table && std::ranges::any_of(*table, [](std::byte b) { return b != std::byte{}; });
}

Result<Pa> UserRoots::put_away(unsigned vcpu) {
  constexpr std::uint64_t kAligned = 0xfff;  // of the address limit no low bit is clear
  const std::string_view name = row_of(guest_.architecture()).task;
  const Va task{SWAT_TRY(system_register(guest_, vcpu, name))};
  AddressSpace kernel(guest_.ram(), geometry_, kernel_root_);
  using Words = std::array<std::uint64_t, 3>;
  const auto words = SWAT_TRY(read_as<Words>(kernel, task));
  for (const std::uint64_t word : std::span(words).subspan(1)) {
    const Pa root{word & root_bits_};
    if ((word & kAligned) == 0 && has_entries(root)) return root;
  }
  return fail(Errc::kNotFound, "a kernel thread's page table");
}

Pa UserRoots::kernel_half(Pa root) {
  if (!may_be_split_ || (root.value & kUserHalf) == 0) return root;
  const Pa other{root.value & ~kUserHalf};
  if (!is_split_) is_split_ = are_halves(other, root);
  return *is_split_ ? other : root;
}

Pa UserRoots::with_user_rights(Pa root) {
  if (!may_be_split_ || (root.value & kUserHalf) != 0) return root;
  if (!is_split_) is_split_ = are_halves(root, root + kUserHalf);
  return *is_split_ ? root + kUserHalf : root;
}

// The user's half has the kernel's entries and not its data.
bool UserRoots::are_halves(Pa of_kernel, Pa of_user) {
  AddressSpace kernel(guest_.ram(), geometry_, of_kernel);
  AddressSpace user(guest_.ram(), geometry_, of_user);
  return kernel.translate(kernel_data_) && user.translate(kernel_code_) &&
         !user.translate(kernel_data_);
}

}  // namespace swat::os
