#include "osmodels/linux/process_list.hpp"

#include <unordered_set>

#include "osmodels/linux/blob.hpp"

namespace swat::os {

Result<std::vector<Process>> read_processes(const LinuxProfile& profile, TaskReader& tasks,
                                            Va init_task) {
  constexpr std::size_t kMostProcesses = 1 << 17;
  const std::uint32_t link = *profile.task_tasks;
  std::vector<Process> processes;
  std::unordered_set<Va> seen;
  const Va head = init_task + link;
  Va at = SWAT_TRY(tasks.read_linked(init_task, link)).next;
  while (at != head) {
    if (!is_kernel_pointer(at.value) || processes.size() >= kMostProcesses ||
        !seen.insert(at).second) {
      return fail(Errc::kBadImage, "list of tasks without an end", at.value);
    }
    TaskReader::Linked leader = SWAT_TRY(tasks.read_linked(at - link, link));
    leader.thread.process.object = leader.thread.object;
    processes.push_back(std::move(leader.thread.process));
    at = leader.next;
  }
  return processes;
}

}  // namespace swat::os
