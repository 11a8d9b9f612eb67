#include "daemon/process_selection.hpp"

#include <algorithm>

namespace swat::daemon {

void ProcessSelection::begin(const std::vector<os::Process>& processes) {
  if (filter_.is_all()) return;
  for (const os::Process& process : processes) {
    learn_name(process);
    known_.insert(process.pid);
  }
}

bool ProcessSelection::is_selected(std::uint32_t pid) const {
  return filter_.pids.contains(pid) || named_.contains(pid) || followed_.contains(pid);
}

void ProcessSelection::learn_name(const os::Process& leader) {
  if (filter_.names.empty()) return;
  if (filter_.names.contains(leader.name)) {
    named_.insert(leader.pid);
  } else {
    named_.erase(leader.pid);
  }
}

// A new process may be the child of one that was not met yet itself: the line of its ancestors is
// followed up to one that was, and judged downwards from there.
void ProcessSelection::meet(const os::Process& process) {
  if (!filter_.follow || known_.contains(process.pid)) return;
  constexpr std::size_t kMostGenerations = 64;  // that come to be without an event
  std::vector<os::Process> line = {process};
  const auto all = model_.processes();
  while (all && line.size() < kMostGenerations) {
    const auto parent = std::ranges::find(*all, line.back().parent_pid, &os::Process::pid);
    if (parent == all->end()) break;
    learn_name(*parent);
    if (known_.contains(parent->pid)) break;
    line.push_back(*parent);
  }
  for (auto next = line.rbegin(); next != line.rend(); ++next) {
    if (known_.insert(next->pid).second && is_selected(next->parent_pid)) {
      followed_.insert(next->pid);
    }
  }
}

bool ProcessSelection::wants(const os::Process& leader) {
  if (filter_.is_all()) return true;
  learn_name(leader);
  meet(leader);
  return is_selected(leader.pid);
}

// A thread may have a name of its own, which is not the process's.
bool ProcessSelection::wants(const os::Thread& thread) {
  if (filter_.is_all()) return true;
  if (thread.tid == thread.process.pid) return wants(thread.process);
  meet(thread.process);
  return is_selected(thread.process.pid);
}

void ProcessSelection::will_exit(std::uint32_t pid) {
  if (filter_.is_all() || !filter_.follow || !is_selected(pid)) return;
  const auto all = model_.processes();
  if (!all) return;
  for (const os::Process& process : *all) {
    if (process.parent_pid == pid) meet(process);
  }
}

void ProcessSelection::gone(std::uint32_t pid) {
  known_.erase(pid);
  followed_.erase(pid);
  named_.erase(pid);
}

}  // namespace swat::daemon
