#include <set>

#include "osmodels/linux/inference.hpp"
#include "osmodels/linux/init_task.hpp"

namespace swat::os::inference {
namespace {

constexpr std::size_t kCommBytes = 16;
constexpr std::uint32_t kWord = 8;
// How far before comm the rest of a task_struct may lie; 6.12 has comm at 0xc48 of 0x2600 bytes.
constexpr std::uint64_t kMostBeforeComm = 0x3000;
constexpr std::size_t kMostTasks = 1 << 16;
constexpr std::size_t kSamples = 200;
constexpr std::uint32_t kHighestPid = 1 << 22;  // PID_MAX_LIMIT [include/linux/threads.h]

bool is_printable_name(std::span<const std::byte> comm) {
  const auto end = std::ranges::find(comm, std::byte{0});
  return end != comm.begin() && end != comm.end() &&
         std::all_of(comm.begin(), end,
                     [](std::byte c) { return c >= std::byte{0x20} && c < std::byte{0x7f}; });
}

// The circular list through `head` whose members all have a name `to_comm` bytes further on; empty
// when it is none. Names are the guest's to choose: a few unprintable ones are let pass.
std::vector<Va> task_list(VirtualMemory& kernel, Va head, std::uint64_t to_comm) {
  struct Links {
    std::uint64_t next;
    std::uint64_t previous;
  };
  std::vector<Va> nodes;
  std::size_t odd = 0;
  Va at = head;
  Va previous{};
  do {
    const Result<Links> links = read_as<Links>(kernel, at);
    std::array<std::byte, kCommBytes> comm;
    if (!links || !is_kernel_pointer(links->next) || !kernel.read(at + to_comm, comm)) return {};
    if (!nodes.empty() && links->previous != previous.value) return {};
    odd += is_printable_name(comm) ? 0 : 1;
    nodes.push_back(at);
    if (odd > 1 + nodes.size() / 8 || nodes.size() > kMostTasks) return {};
    previous = at;
    at = Va{links->next};
  } while (at != head);
  return nodes;
}

struct TaskList {
  std::uint64_t to_comm = 0;  // from a list node to its task's comm
  std::vector<Va> nodes;      // init_task's first
};

// Among several lists that run through init_task (those of its pid, say) the longest is `tasks`.
TaskList longest_list(VirtualMemory& kernel, Va comm) {
  TaskList best;
  const std::uint64_t first = kWord + comm.value % kWord;
  for (std::uint64_t to_comm = first; to_comm < kMostBeforeComm; to_comm += kWord) {
    std::vector<Va> nodes = task_list(kernel, comm - to_comm, to_comm);
    if (nodes.size() > best.nodes.size()) best = {to_comm, std::move(nodes)};
  }
  return best;
}

TaskList find_list(const InferenceInput& input) {
  constexpr std::size_t kFewest = 4;  // init_task, init, kthreadd and one more
  std::vector<Va> comms = init_comms(input.image);
  TaskList best;
  for (const Va comm : comms) {
    const bool far = input.init_task && comm - *input.init_task > kMostBeforeComm;
    if (far) continue;
    TaskList list = longest_list(input.kernel, comm);
    if (list.nodes.size() > best.nodes.size()) best = std::move(list);
  }
  return best.nodes.size() < kFewest ? TaskList{} : best;
}

// How far comm lies behind the start of its task_struct: the farthest place that every task points
// to in itself, which is what group_leader does. Empty list heads point to themselves too.
std::optional<std::uint64_t> comm_offset(VirtualMemory& kernel, const TaskList& list) {
  std::vector<Blob> windows;
  for (std::size_t i = 0; i < std::min<std::size_t>(list.nodes.size(), 32); ++i) {
    const Va comm = list.nodes[i] + list.to_comm;
    windows.push_back(read_sparse(kernel, comm - kMostBeforeComm, kMostBeforeComm));
  }
  std::uint64_t farthest = 0;
  const auto skew = static_cast<std::size_t>(windows[0].at.value % kWord);
  for (std::size_t slot = (kWord - skew) % kWord; slot < kMostBeforeComm; slot += kWord) {
    const auto distance = [&](const Blob& w) {
      return w.at.value + kMostBeforeComm - w.word(slot);
    };
    const std::uint64_t first = distance(windows[0]);
    const std::uint64_t own = kMostBeforeComm - slot;  // of the slot itself
    if (first == 0 || first > kMostBeforeComm || first == own || first == own + kWord) continue;
    const bool all =
        std::ranges::all_of(windows, [&](const Blob& w) { return distance(w) == first; });
    if (all) farthest = std::max(farthest, first);
  }
  if (farthest == 0) return {};
  return farthest;
}

std::vector<Blob> sample(VirtualMemory& kernel, const std::vector<Va>& tasks, std::size_t size) {
  std::vector<Blob> samples;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const bool taken = i < kSamples / 2 || i + kSamples / 2 >= tasks.size();
    if (taken) samples.push_back(read_sparse(kernel, tasks[i], size));
  }
  return samples;
}

// 0 for the idle task, 1 for init, all different.
bool is_pid(const std::vector<Blob>& samples, std::uint32_t offset) {
  std::set<std::uint32_t> seen;
  for (const Blob& task : samples) {
    const auto pid = task.load<std::uint32_t>(offset);
    if (pid > kHighestPid || (pid == 0) != seen.empty() || !seen.insert(pid).second) return false;
  }
  return seen.contains(1);
}

void infer_ids(const std::vector<Blob>& samples, std::uint32_t end, LinuxProfile& profile) {
  profile.task_pid = first_offset(0, end, 4, [&](auto o) { return is_pid(samples, o); });
  if (!profile.task_pid) return;
  // Every member of the list leads its thread group, so both ids are the same.
  profile.task_tgid = first_offset(*profile.task_pid + 4, end, 4, [&](auto o) {
    return std::ranges::all_of(samples, [&](const Blob& task) {
      return task.load<std::uint32_t>(o) == task.load<std::uint32_t>(*profile.task_pid);
    });
  });
}

void infer_relations(const Tasks& tasks, std::uint32_t end, LinuxProfile& profile) {
  const std::set<Va> all(tasks.all.begin(), tasks.all.end());
  const auto& samples = tasks.samples;
  if (!profile.task_tgid) return;
  const std::uint32_t from = *profile.task_tgid + 4 + (*profile.task_tgid + 4) % kWord;
  profile.task_group_leader = first_offset(from, end, kWord, [&](auto o) {
    return std::ranges::all_of(samples, [&](const Blob& t) { return t.word(o) == t.at.value; });
  });
  // Nearly always a leader: a thread that is not can be a parent too.
  profile.task_real_parent = first_offset(from, end, kWord, [&](auto o) {
    if (samples[0].word(o) != tasks.init_task.value) return false;
    const auto known = std::ranges::count_if(samples, [&](const Blob& t) {
      return t.word(o) != t.at.value && all.contains(Va{t.word(o)});
    });
    return static_cast<std::size_t>(known) * 10 >= (samples.size() - 1) * 9;
  });
}

// STACK_END_MAGIC is the lowest word of a kernel stack, or of what thread_info leaves of it.
// Kernels that keep thread_info in the task (since 4.9) have its flags at the very start of both.
// [include/linux/sched/task_stack.h, include/uapi/linux/magic.h, arch/x86/Kconfig]
struct Stacks {
  std::size_t with_magic = 0;  // thread_info is in the task
  std::size_t with_task = 0;   // thread_info is here, and begins with the task

  [[nodiscard]] std::size_t count() const { return with_magic + with_task; }
};

// The words at `offset`, as stacks; nullopt when one cannot be a stack, or two are one.
std::optional<Stacks> stacks_at(VirtualMemory& kernel, const std::vector<Blob>& samples,
                                std::uint32_t offset) {
  constexpr std::uint64_t kStackEndMagic = 0x57ac6e9d;
  constexpr std::uint64_t kStackAlignment = 4096;
  Stacks stacks;
  std::set<std::uint64_t> seen;
  for (const Blob& task : samples) {
    const std::uint64_t stack = task.word(offset);
    if (stack == 0) continue;  // of a task that has exited
    if (!is_kernel_address(stack) || stack % kStackAlignment != 0) return {};
    if (!seen.insert(stack).second) return {};
    const std::uint64_t lowest = read_as<std::uint64_t>(kernel, Va{stack}).value_or(0);
    if (lowest == kStackEndMagic) ++stacks.with_magic;
    if (lowest == task.at.value) ++stacks.with_task;
  }
  return stacks;
}

void infer_stack(VirtualMemory& kernel, const std::vector<Blob>& samples, LinuxProfile& profile) {
  constexpr std::uint32_t kLastOffset = 0x200;
  profile.task_stack = first_offset(0, kLastOffset, kWord, [&](std::uint32_t offset) {
    const auto stacks = stacks_at(kernel, samples, offset);
    return stacks && stacks->count() * 10 >= samples.size() * 8;
  });
  if (!profile.task_stack) return;
  const auto stacks = stacks_at(kernel, samples, *profile.task_stack);
  if (stacks && stacks->with_magic > samples.size() / 2) profile.task_thread_flags = 0;
}

}  // namespace

Result<Tasks> infer_tasks(const InferenceInput& input, LinuxProfile& profile) {
  const TaskList list = find_list(input);
  if (list.nodes.empty()) return fail(Errc::kNotFound, "no list of tasks around a \"swapper\"");
  const Va comm = list.nodes[0] + list.to_comm;
  const std::optional<std::uint64_t> offset =
      input.init_task ? comm - *input.init_task : comm_offset(input.kernel, list);
  if (!offset || *offset < list.to_comm) {
    return fail(Errc::kNotFound, "start of task_struct unclear", comm.value);
  }
  profile.task_comm = static_cast<std::uint32_t>(*offset);
  profile.task_tasks = static_cast<std::uint32_t>(*offset - list.to_comm);
  Tasks tasks;
  tasks.init_task = comm - *offset;
  for (const Va node : list.nodes) tasks.all.push_back(node - *profile.task_tasks);
  tasks.samples = sample(input.kernel, tasks.all, *offset + kCommBytes);
  const std::uint32_t end = *profile.task_comm;
  infer_ids(tasks.samples, end, profile);
  infer_relations(tasks, end, profile);
  infer_stack(input.kernel, tasks.samples, profile);
  return tasks;
}

}  // namespace swat::os::inference
