// The VMAs of one address space, named as /proc/PID/maps names them.
//
// VMAs are kept in a list from mm->mmap until 6.0, in a maple tree since 6.1.
#pragma once

#include <vector>

#include "osmodels/linux/profile.hpp"
#include "osmodels/model.hpp"

namespace swat::os {

// `mm` is a struct mm_struct. kBadImage: the structures contradict each other.
[[nodiscard]] Result<std::vector<Mapping>> read_mappings(VirtualMemory& kernel,
                                                         const LinuxProfile& profile, Va mm);

}  // namespace swat::os
