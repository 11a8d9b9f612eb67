#include "osmodels/linux/process_list.hpp"

#include <unordered_set>

#include "osmodels/linux/blob.hpp"

namespace swat::os {

Result<std::vector<Process>> read_processes(VirtualMemory& kernel, const LinuxProfile& profile,
                                            TaskReader& tasks, Va init_task) {
  constexpr std::size_t kMostProcesses = 1 << 17;
  std::vector<Process> processes;
  std::unordered_set<Va> seen;
  const Va head = init_task + *profile.task_tasks;
  Va at{SWAT_TRY(read_as<std::uint64_t>(kernel, head))};
  while (at != head) {
    if (!is_kernel_pointer(at.value) || processes.size() >= kMostProcesses ||
        !seen.insert(at).second) {
      return fail(Errc::kBadImage, "list of tasks without an end", at.value);
    }
    Thread leader = SWAT_TRY(tasks.read(at - *profile.task_tasks));
    leader.process.object = leader.object;
    processes.push_back(std::move(leader.process));
    at = Va{SWAT_TRY(read_as<std::uint64_t>(kernel, at))};
  }
  return processes;
}

}  // namespace swat::os
