// The leaves of a page table that map one kernel image: what the locators of all architectures end
// with.
#pragma once

#include <vector>

#include "osmodels/linux/kernel_locator.hpp"

namespace swat::os {

struct KernelLeaf {
  Va at;
  Translation to;
};

// Freed init sections and alignment leave holes inside an image.
inline constexpr std::uint64_t kWidestHole = 16 << 20;
inline constexpr std::uint64_t kLeastImageBytes = 3 << 20;
inline constexpr std::uint64_t kMostImageBytes = 160 << 20;

// Copies what `run`, which is not empty, maps; what is not in RAM stays zero.
[[nodiscard]] Result<> copy_image(GuestView& guest, const std::vector<KernelLeaf>& run,
                                  LocatedKernel& kernel);

// Rows of locate_kernel(), each in a file of its own.
[[nodiscard]] Result<LocatedKernel> locate_aarch64_kernel(GuestView& guest);
[[nodiscard]] Result<LocatedKernel> locate_arm_kernel(GuestView& guest);

}  // namespace swat::os
