// init_task, the idle task of the first CPU: statically allocated, first in the list of all tasks.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "osmodels/linux/profile.hpp"
#include "symbols/kernel_image.hpp"
#include "symbols/memory.hpp"

namespace swat::os {

// Every place in the image that could be init_task's comm: 16 bytes, "swapper" or "swapper/0" and
// zeros. Alignment 2: on old kernels comm follows a 16-bit member.
[[nodiscard]] std::vector<Va> init_comms(const symbols::KernelImage& image);

// Whether these 16 bytes are such a comm.
[[nodiscard]] bool is_init_comm(std::span<const std::byte> field);

// Its own parent and group leader, with pid 0 and the right name.
[[nodiscard]] bool is_init_task(VirtualMemory& kernel, const LinuxProfile& profile, Va task);

// By its name in the image, where no symbol tells.
[[nodiscard]] std::optional<Va> find_init_task(VirtualMemory& kernel, const LinuxProfile& profile,
                                               const symbols::KernelImage& image);

}  // namespace swat::os
