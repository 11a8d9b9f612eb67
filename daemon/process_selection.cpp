#include "daemon/process_selection.hpp"

#include <algorithm>

namespace swat::daemon {

void ProcessSelection::begin(const std::vector<os::Process>& processes) {
  if (filter_.is_all()) return;
  for (const os::Process& process : processes) {
    learn_name(process);
    known_.insert(process.key);
  }
}

bool ProcessSelection::is_selected(os::ProcessKey process, std::uint32_t pid) const {
  return filter_.pids.contains(pid) || named_.contains(process) || followed_.contains(process);
}

void ProcessSelection::learn_name(const os::Process& leader) {
  if (filter_.names.empty()) return;
  if (filter_.names.contains(leader.name)) {
    named_.insert(leader.key);
  } else {
    named_.erase(leader.key);
  }
}

// A new process may be the child of one that was not met yet itself: the line of its ancestors is
// followed up to one that was, and judged downwards from there.
void ProcessSelection::meet(const os::Process& process) {
  if (!filter_.follow || known_.contains(process.key)) return;
  constexpr std::size_t kMostGenerations = 64;  // that come to be without an event
  std::vector<os::Process> line = {process};
  const auto all = model_.processes();
  while (all && line.size() < kMostGenerations) {
    const auto parent = std::ranges::find(*all, line.back().parent, &os::Process::key);
    if (parent == all->end()) break;
    learn_name(*parent);
    if (known_.contains(parent->key)) break;
    line.push_back(*parent);
  }
  for (auto next = line.rbegin(); next != line.rend(); ++next) {
    if (known_.insert(next->key).second && is_selected(next->parent, next->parent_pid)) {
      followed_.insert(next->key);
    }
  }
}

bool ProcessSelection::wants(const os::Process& leader) {
  if (filter_.is_all()) return true;
  learn_name(leader);
  meet(leader);
  return is_selected(leader.key, leader.pid);
}

// A thread may have a name of its own, which is not the process's.
bool ProcessSelection::wants(const os::Thread& thread) {
  if (filter_.is_all()) return true;
  if (thread.tid == thread.process.pid) return wants(thread.process);
  meet(thread.process);
  return is_selected(thread.process.key, thread.process.pid);
}

void ProcessSelection::will_exit(const os::Process& parent) {
  if (filter_.is_all() || !filter_.follow || !is_selected(parent.key, parent.pid)) return;
  const auto all = model_.processes();
  if (!all) return;
  for (const os::Process& process : *all) {
    if (process.parent == parent.key) meet(process);
  }
}

void ProcessSelection::gone(os::ProcessKey process) {
  known_.erase(process);
  followed_.erase(process);
  named_.erase(process);
}

}  // namespace swat::daemon
