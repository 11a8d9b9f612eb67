#include "osmodels/linux/process_list.hpp"

#include <unordered_set>

namespace swat::os {

Result<std::vector<Process>> read_processes(const LinuxProfile& profile, TaskReader& tasks,
                                            Va init_task) {
  constexpr std::size_t kMostProcesses = 1 << 17;
  const std::uint32_t link = *profile.task_tasks;
  std::vector<Process> processes;
  std::unordered_set<Va> seen;
  // What a link points to: the next link, or in 2.4 the next task.
  const std::uint32_t to_link = profile.task_list_of_tasks ? 0 : link;
  const Va head = init_task + to_link;
  Va at = SWAT_TRY(tasks.read_linked(init_task, link)).next;
  while (at != head) {
    if (!profile.layout.is_pointer(at.value) || processes.size() >= kMostProcesses ||
        !seen.insert(at).second) {
      return fail(Errc::kBadImage, "list of tasks without an end", at.value);
    }
    TaskReader::Linked leader = SWAT_TRY(tasks.read_linked(at - to_link, link));
    leader.thread.process.object = leader.thread.object;
    processes.push_back(std::move(leader.thread.process));
    at = leader.next;
  }
  return processes;
}

}  // namespace swat::os
