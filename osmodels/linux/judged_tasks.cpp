#include "osmodels/linux/judged_tasks.hpp"

#include <set>

#include "osmodels/linux/init_task.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kCommBytes = 16;
constexpr std::size_t kMostTasks = 1 << 12;  // of the list; a longer one is believed
constexpr std::size_t kSamples = 48;

bool is_text(std::span<const std::byte> name) {
  const auto end = std::ranges::find(name, std::byte{0});
  return end != name.begin() && end != name.end() &&
         std::all_of(name.begin(), end, [](std::byte c) { return c >= std::byte{0x20}; });
}

}  // namespace

Tally JudgedTasks::list() {
  Tally tally;
  const std::uint32_t link = *profile_.task_tasks;
  const std::uint32_t to_link = profile_.task_list_of_tasks ? 0 : link;
  const Va head = input_.init_task + to_link;
  tasks_.push_back(input_.init_task);
  Va at = head;
  do {
    const Va node = at - to_link + link;
    const auto next = word_at(node);
    if (!next || !profile_.layout.is_pointer(*next)) return tally.refused();
    const auto back = word_at(Va{*next} - to_link + link + profile_.layout.word_bytes);
    if (!back) return tally.refused();
    tally.add(*back == at.value);
    at = Va{*next};
    if (at != head) tasks_.push_back(at - to_link);
  } while (at != head && tasks_.size() < kMostTasks);
  all_known_ = at == head;
  if (tasks_.size() < 2) return tally.refused();
  take_samples();
  return tally;
}

Tally JudgedTasks::names() const {
  Tally tally;
  for (std::size_t i = 1; i < samples_.size(); ++i) {
    tally.add(is_text(std::span(samples_[i].bytes).subspan(*profile_.task_comm, kCommBytes)));
  }
  const auto first = std::span(samples_[0].bytes).subspan(*profile_.task_comm, kCommBytes);
  return is_init_comm(first) ? tally : tally.refused();
}

Tally JudgedTasks::ids() const {
  constexpr std::uint32_t kHighest = 1 << 22;  // PID_MAX_LIMIT [include/linux/threads.h]
  Tally tally;
  std::set<std::uint32_t> seen = {0};
  const auto pid = [&](std::size_t i) {
    return samples_[i].load<std::uint32_t>(*profile_.task_pid);
  };
  const auto tgid = [&](std::size_t i) {
    return samples_[i].load<std::uint32_t>(*profile_.task_tgid);
  };
  for (std::size_t i = 1; i < samples_.size(); ++i) {
    const bool is_own_group = tgid(i) == pid(i) || (profile_.task_list_of_tasks && tgid(i) == 0);
    tally.add(pid(i) <= kHighest && seen.insert(pid(i)).second && is_own_group);
  }
  const bool begins =
      pid(0) == 0 && tgid(0) == 0 && pid(1) == 1 && profile_.task_pid != profile_.task_tgid;
  return begins ? tally : tally.refused();
}

Tally JudgedTasks::relations() const {
  Tally tally;
  const std::set<Va> known(tasks_.begin(), tasks_.end());
  const auto parent = [&](std::size_t i) { return samples_[i].word(*profile_.task_real_parent); };
  for (std::size_t i = 1; i < samples_.size(); ++i) {
    const bool is_child =
        parent(i) != samples_[i].at.value &&
        (all_known_ ? known.contains(Va{parent(i)}) : profile_.layout.is_pointer(parent(i)));
    const bool leads = !profile_.task_group_leader ||
                       samples_[i].word(*profile_.task_group_leader) == samples_[i].at.value;
    tally.add(is_child && leads);
  }
  const std::uint64_t idle = input_.init_task.value;
  return parent(0) == idle && parent(1) == idle ? tally : tally.refused();
}

Tally JudgedTasks::kernel_stacks() const {
  constexpr std::uint64_t kPage = 4096;
  Tally tally;
  if (!profile_.task_stack) return tally;
  std::set<std::uint64_t> seen;
  for (const Blob& task : samples_) {
    const std::uint64_t stack = task.word(*profile_.task_stack);
    if (stack == 0) continue;  // of a task that has exited
    tally.add(profile_.layout.is_address(stack) && stack % kPage == 0 && seen.insert(stack).second);
  }
  return tally;
}

// The first ones and the last ones of the list; init_task and init are the first of all.
void JudgedTasks::take_samples() {
  std::uint32_t size = *profile_.task_comm + kCommBytes;
  for (const MemberOffset& member :
       {profile_.task_mm, profile_.task_pid, profile_.task_tgid, profile_.task_real_parent,
        profile_.task_group_leader, profile_.task_stack}) {
    size = std::max(size, member.value_or(0) + profile_.layout.word_bytes);
  }
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (i >= kSamples / 2 && i + kSamples / 2 < tasks_.size()) continue;
    samples_.push_back(read_sparse(input_.kernel, tasks_[i], size, profile_.layout));
  }
}

}  // namespace swat::os
