// Where gs leads in the kernel of an x86_64 guest: the per-CPU area of a vCPU.
#pragma once

#include <vector>

#include "osmodels/guest.hpp"
#include "osmodels/linux/kernel_layout.hpp"

namespace swat::os {

// The likeliest first.
[[nodiscard]] std::vector<Va> gs_bases(GuestView& guest, const KernelLayout& layout, unsigned vcpu);

}  // namespace swat::os
