// All processes: the list of thread group leaders, kernel threads among them.
#pragma once

#include <vector>

#include "osmodels/linux/task_reader.hpp"

namespace swat::os {

// In the kernel's order, that of creation; without the idle task. kBadImage: the list has no end.
[[nodiscard]] Result<std::vector<Process>> read_processes(const LinuxProfile& profile,
                                                          TaskReader& tasks, Va init_task);

}  // namespace swat::os
