#include <set>

#include "osmodels/linux/inference.hpp"
#include "osmodels/linux/init_task.hpp"

namespace swat::os::inference {
namespace {

constexpr std::size_t kCommBytes = 16;
// How far before comm the rest of a task_struct may lie; 6.12 has comm at 0xc48 of 0x2600 bytes.
constexpr std::uint64_t kMostBeforeComm = 0x3000;
constexpr std::size_t kMostTasks = 1 << 16;
constexpr std::size_t kSamples = 200;
constexpr std::uint32_t kInit = 1;
constexpr std::uint32_t kHighestPid = 1 << 22;  // PID_MAX_LIMIT [include/linux/threads.h]

bool is_printable_name(std::span<const std::byte> comm) {
  const auto end = std::ranges::find(comm, std::byte{0});
  return end != comm.begin() && end != comm.end() &&
         std::all_of(comm.begin(), end,
                     [](std::byte c) { return c >= std::byte{0x20} && c < std::byte{0x7f}; });
}

// The circular list through `head` whose members all have a name `to_comm` bytes further on; empty
// when it is none. Names are the guest's to choose: a few unprintable ones are let pass.
std::vector<Va> task_list(const InferenceInput& input, Va head, std::uint64_t to_comm) {
  const unsigned word = input.layout.word_bytes;
  std::vector<Va> nodes;
  std::size_t odd = 0;
  Va at = head;
  Va previous{};
  do {
    const auto next = read_word(input.kernel, at, input.layout);
    const auto back = read_word(input.kernel, at + word, input.layout);
    std::array<std::byte, kCommBytes> comm;
    if (!next || !back || !input.layout.is_pointer(*next) ||
        !input.kernel.read(at + to_comm, comm)) {
      return {};
    }
    if (!nodes.empty() && *back != previous.value) return {};
    odd += is_printable_name(comm) ? 0 : 1;
    nodes.push_back(at);
    if (odd > 1 + nodes.size() / 8 || nodes.size() > kMostTasks) return {};
    previous = at;
    at = Va{*next};
  } while (at != head);
  return nodes;
}

// 2.4: the circular list that next_task and prev_task make of the tasks themselves, `link` bytes
// into each. A task is at the bottom of its own kernel stack of 8 KiB. [include/linux/sched.h,
// union task_union]
constexpr std::uint64_t kTaskUnionBytes = 8192;

std::vector<Va> list_of_tasks(const InferenceInput& input, Va first, std::uint64_t link,
                              std::uint64_t comm) {
  const unsigned word = input.layout.word_bytes;
  std::vector<Va> tasks;
  Va at = first;
  Va previous{};
  do {
    const auto next = read_word(input.kernel, at + link, input.layout);
    const auto back = read_word(input.kernel, at + link + word, input.layout);
    std::array<std::byte, kCommBytes> name;
    const bool is_task = next && back && input.layout.is_address(*next) &&
                         *next % kTaskUnionBytes == 0 && input.kernel.read(at + comm, name) &&
                         is_printable_name(name) && (tasks.empty() || *back == previous.value);
    if (!is_task || tasks.size() > kMostTasks) return {};
    tasks.push_back(at);
    previous = at;
    at = Va{*next};
  } while (at != first);
  return tasks;
}

struct TaskList {
  std::uint64_t to_comm = 0;  // from a list node to its task's comm
  std::vector<Va> nodes;      // init_task's first
  std::uint64_t link = 0;     // from a task to its list node, where nodes are the tasks themselves
  bool of_tasks = false;
};

// Among several lists that run through init_task (those of its pid, say) the longest is `tasks`.
TaskList longest_list(const InferenceInput& input, Va comm) {
  const unsigned word = input.layout.word_bytes;
  TaskList best;
  const std::uint64_t first = word + comm.value % word;
  for (std::uint64_t to_comm = first; to_comm < kMostBeforeComm; to_comm += word) {
    std::vector<Va> nodes = task_list(input, comm - to_comm, to_comm);
    if (nodes.size() > best.nodes.size()) best = {to_comm, std::move(nodes), 0, false};
  }
  return best;
}

TaskList longest_list_of_tasks(const InferenceInput& input, Va comm) {
  const unsigned word = input.layout.word_bytes;
  const Va task = comm.aligned_down(kTaskUnionBytes);
  TaskList best;
  for (std::uint64_t link = 0; task + link < comm; link += word) {
    std::vector<Va> tasks = list_of_tasks(input, task, link, comm - task);
    if (tasks.size() > best.nodes.size()) best = {comm - task, std::move(tasks), link, true};
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
    for (const auto& find : {longest_list, longest_list_of_tasks}) {
      TaskList list = find(input, comm);
      if (list.nodes.size() > best.nodes.size()) best = std::move(list);
    }
  }
  return best.nodes.size() < kFewest ? TaskList{} : best;
}

// How far comm lies behind the start of its task_struct: the farthest place that every task points
// to in itself, which is what group_leader does. Empty list heads point to themselves too.
std::optional<std::uint64_t> comm_offset(const InferenceInput& input, const TaskList& list) {
  const unsigned word = input.layout.word_bytes;
  std::vector<Blob> windows;
  for (std::size_t i = 0; i < std::min<std::size_t>(list.nodes.size(), 32); ++i) {
    const Va comm = list.nodes[i] + list.to_comm;
    windows.push_back(
        read_sparse(input.kernel, comm - kMostBeforeComm, kMostBeforeComm, input.layout));
  }
  std::uint64_t farthest = 0;
  const auto skew = static_cast<std::size_t>(windows[0].at.value % word);
  for (std::size_t slot = (word - skew) % word; slot < kMostBeforeComm; slot += word) {
    const auto distance = [&](const Blob& w) {
      return w.at.value + kMostBeforeComm - w.word(slot);
    };
    const std::uint64_t first = distance(windows[0]);
    const std::uint64_t own = kMostBeforeComm - slot;  // of the slot itself
    if (first == 0 || first > kMostBeforeComm || first == own || first == own + word) continue;
    const bool all =
        std::ranges::all_of(windows, [&](const Blob& w) { return distance(w) == first; });
    if (all) farthest = std::max(farthest, first);
  }
  if (farthest == 0) return {};
  return farthest;
}

std::vector<Blob> sample(const InferenceInput& input, const std::vector<Va>& tasks,
                         std::size_t size) {
  std::vector<Blob> samples;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const bool taken = i < kSamples / 2 || i + kSamples / 2 >= tasks.size();
    if (taken) samples.push_back(read_sparse(input.kernel, tasks[i], size, input.layout));
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
  return seen.contains(kInit);
}

// Every member of the list leads its thread group, so both ids are the same; but in 2.4 many kernel
// threads are of the idle task's group.
MemberOffset tgid_behind(const std::vector<Blob>& samples, std::uint32_t pid_at, std::uint32_t end,
                         bool is_2_4) {
  return first_offset(pid_at + 4, end, 4, [&](auto o) {
    return std::ranges::all_of(samples, [&](const Blob& task) {
      const auto pid = task.load<std::uint32_t>(pid_at);
      const auto tgid = task.load<std::uint32_t>(o);
      return tgid == pid || (is_2_4 && tgid == 0 && pid != kInit);
    });
  });
}

// Sets both to the first pair of which the second is at most `reach` bytes behind the first.
void infer_ids_within(std::uint32_t reach, const std::vector<Blob>& samples, std::uint32_t end,
                      LinuxProfile& profile) {
  profile.task_pid = first_offset(0, end, 4, [&](auto o) {
    if (!is_pid(samples, o)) return false;
    const std::uint32_t last = std::min(end, o + reach + 4);
    profile.task_tgid = tgid_behind(samples, o, last, profile.task_list_of_tasks);
    return profile.task_tgid.has_value();
  });
}

// Counters and times of a few tasks may happen to look like their numbers, but are there once. In
// 2.4 and early 2.6 other numbers are between the two. Since then they are neighbours, which tells
// them from copies of the number: 7.3 has one far before. [include/linux/sched.h]
void infer_ids(const std::vector<Blob>& samples, std::uint32_t end, LinuxProfile& profile) {
  constexpr std::uint32_t kNeighbour = 4;
  if (!profile.task_list_of_tasks) infer_ids_within(kNeighbour, samples, end, profile);
  if (!profile.task_pid) infer_ids_within(end, samples, end, profile);
}

void infer_relations(const Tasks& tasks, std::uint32_t end, LinuxProfile& profile) {
  const std::set<Va> all(tasks.all.begin(), tasks.all.end());
  const unsigned word = profile.layout.word_bytes;
  const auto& samples = tasks.samples;
  if (!profile.task_tgid) return;
  const std::uint32_t from = *profile.task_tgid + 4 + (*profile.task_tgid + 4) % word;
  profile.task_group_leader = first_offset(from, end, word, [&](auto o) {
    return std::ranges::all_of(samples, [&](const Blob& t) { return t.word(o) == t.at.value; });
  });
  // Nearly always a leader: a thread that is not can be a parent too.
  profile.task_real_parent = first_offset(from, end, word, [&](auto o) {
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
std::optional<Stacks> stacks_at(const InferenceInput& input, const std::vector<Blob>& samples,
                                std::uint32_t offset) {
  constexpr std::uint64_t kStackEndMagic = 0x57ac6e9d;
  constexpr std::uint64_t kStackAlignment = 4096;
  Stacks stacks;
  std::set<std::uint64_t> seen;
  for (const Blob& task : samples) {
    const std::uint64_t stack = task.word(offset);
    if (stack == 0) continue;  // of a task that has exited
    if (!input.layout.is_address(stack) || stack % kStackAlignment != 0) return {};
    if (!seen.insert(stack).second) return {};
    const std::uint64_t lowest = read_word(input.kernel, Va{stack}, input.layout).value_or(0);
    if (lowest == kStackEndMagic) ++stacks.with_magic;
    if (lowest == task.at.value) ++stacks.with_task;
  }
  return stacks;
}

void infer_stack(const InferenceInput& input, const std::vector<Blob>& samples,
                 LinuxProfile& profile) {
  constexpr std::uint32_t kLastOffset = 0x200;
  profile.task_stack =
      first_offset(0, kLastOffset, input.layout.word_bytes, [&](std::uint32_t offset) {
        const auto stacks = stacks_at(input, samples, offset);
        return stacks && stacks->count() * 10 >= samples.size() * 8;
      });
  if (!profile.task_stack) return;
  const auto stacks = stacks_at(input, samples, *profile.task_stack);
  if (stacks && stacks->with_magic > samples.size() / 2) profile.task_thread_flags = 0;
}

// Sets task_comm and task_tasks.
Result<Tasks> tasks_of(const InferenceInput& input, const TaskList& list, LinuxProfile& profile) {
  Tasks tasks;
  profile.task_list_of_tasks = list.of_tasks;
  if (list.of_tasks) {
    tasks.all = list.nodes;
    profile.task_comm = static_cast<std::uint32_t>(list.to_comm);
    profile.task_tasks = static_cast<std::uint32_t>(list.link);
  } else {
    const Va comm = list.nodes[0] + list.to_comm;
    const std::optional<std::uint64_t> offset =
        input.init_task ? comm - *input.init_task : comm_offset(input, list);
    if (!offset || *offset < list.to_comm) {
      return fail(Errc::kNotFound, "start of task_struct unclear", comm.value);
    }
    profile.task_comm = static_cast<std::uint32_t>(*offset);
    profile.task_tasks = static_cast<std::uint32_t>(*offset - list.to_comm);
    for (const Va node : list.nodes) tasks.all.push_back(node - *profile.task_tasks);
  }
  tasks.init_task = tasks.all.front();
  tasks.samples = sample(input, tasks.all, *profile.task_comm + kCommBytes);
  return tasks;
}

}  // namespace

Result<Tasks> infer_tasks(const InferenceInput& input, LinuxProfile& profile) {
  const TaskList list = find_list(input);
  if (list.nodes.empty()) return fail(Errc::kNotFound, "no list of tasks around a \"swapper\"");
  Tasks tasks = SWAT_TRY(tasks_of(input, list, profile));
  const std::uint32_t end = *profile.task_comm;
  infer_ids(tasks.samples, end, profile);
  infer_relations(tasks, end, profile);
  infer_stack(input, tasks.samples, profile);
  return tasks;
}

}  // namespace swat::os::inference
