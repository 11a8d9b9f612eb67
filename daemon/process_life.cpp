#include "daemon/process_life.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

namespace swat::daemon {
namespace {

constexpr std::chrono::milliseconds kReapEvery{1000};
// Through a distant stub the list takes seconds: it gets a twentieth of the time at most.
constexpr int kReapRest = 20;

}  // namespace

Result<> ProcessLife::list() {
  next_reap_ = Clock::now() + kReapEvery;
  const auto processes = SWAT_TRY(model_.processes());
  selection_.begin(processes);
  for (const os::Process& process : processes) {
    if (!selection_.wants(process)) continue;
    alive_.emplace(process.key, process);
    if (process.memory_object.is_null()) continue;
    SWAT_CHECK(read_modules({{process.object, process.pid, process}, {}}, false));
  }
  return {};
}

// A process in the middle of its own exit or exec has unreadable maps; its next event retries.
Result<> ProcessLife::read_modules(const Actor& actor, bool announce) {
  if (!tracks_modules_) return {};
  auto read = modules_.refresh(actor.thread, actor.scene, announce);
  if (read || read.error().code == Errc::kDisconnected) return read;
  const os::Process& process = actor.thread.process;
  spdlog::debug("maps of {} ({}): {}", process.pid, process.name, read.error().what);
  return {};
}

Result<Actor> ProcessLife::meet(unsigned vcpu) { return meet(vcpu, model_.current(vcpu)); }

Result<Actor> ProcessLife::meet(unsigned vcpu, Result<os::Thread> thread) {
  if (!thread) {
    if (thread.error().code == Errc::kDisconnected) return tl::unexpected(thread.error());
    spdlog::debug("vCPU {} runs no task that can be read: {}", vcpu, thread.error().what);
    thread = os::Thread{};
    thread->process.name = "?";
  }
  Actor actor = actor_of(vcpu, *std::move(thread));
  SWAT_CHECK(get_to_know(actor));
  if (Clock::now() >= next_reap_) SWAT_CHECK(reap());
  return actor;
}

Actor ProcessLife::actor_of(unsigned vcpu, os::Thread thread) {
  const auto time = model_.wall_clock_ns();
  Actor actor{std::move(thread), {}};
  const os::Process& process = actor.thread.process;
  actor.scene = {
      vcpu,         process.page_table.value_or(Pa{}),          process.pid, actor.thread.tid,
      process.name, time ? std::optional(*time) : std::nullopt, process.key};
  return actor;
}

std::optional<Actor> ProcessLife::recognise(unsigned vcpu, const os::Thread& thread) {
  const os::Process& process = thread.process;
  if (!selection_.knows(process) || Clock::now() >= next_reap_) return {};
  Actor actor = actor_of(vcpu, thread);
  actor.selected = selection_.wants(thread);
  if (actor.selected != alive_.contains(process.key)) return {};
  if (actor.selected && tracks_modules_ && processes_.is_stale(thread)) return {};
  return actor;
}

Result<bool> ProcessLife::meet(const os::Process& process) {
  const Pa root = process.page_table.value_or(Pa{});
  Actor actor{{process.object, process.pid, process},
              {0, root, process.pid, process.pid, process.name, {}, process.key}};
  SWAT_CHECK(get_to_know(actor));
  return actor.selected;
}

Result<> ProcessLife::get_to_know(Actor& actor) {
  const os::Process& process = actor.thread.process;
  actor.selected = selection_.wants(actor.thread);
  const bool is_leaving = is_exiting(process);
  // What is on its way out for good maps nothing and calls nothing; its process's other threads do.
  if (is_leaving && exiting_.at(process.key).thread == actor.thread.object) return {};
  if (actor.selected) {
    if (process.key != os::ProcessKey{} && !alive_.contains(process.key)) start(actor);
    if (processes_.is_stale(actor.thread)) SWAT_CHECK(read_modules(actor, !is_leaving));
  } else if (alive_.erase(process.key) > 0) {
    leave(process.key);
  }
  return {};
}

void ProcessLife::start(const Actor& actor) {
  const os::Process& process = actor.thread.process;
  alive_.emplace(process.key, process);
  if (is_exiting(process)) return;
  exiting_.erase(process.key);  // of another process, which is gone
  const ProcessView* view = processes_.find(process);
  const bool has_image = view != nullptr && !view->modules.empty();
  log_.write(actor.scene, ProcessEvent{true, process.parent_pid,
                                       has_image ? view->modules.front().module.path : ""});
}

bool ProcessLife::is_exiting(const os::Process& process) const {
  const auto known = exiting_.find(process.key);
  return known != exiting_.end() && known->second.process == process.object;
}

void ProcessLife::end(const Actor& actor) {
  const os::Process& process = actor.thread.process;
  selection_.will_exit(process);
  end(process.key, actor.scene);
  exiting_.insert_or_assign(process.key, Exiting{process.object, actor.thread.object});
}

void ProcessLife::end(os::ProcessKey process, const EventLog::Scene& scene) {
  selection_.gone(process);
  const auto known = alive_.extract(process);
  if (known.empty()) return;
  if (!is_exiting(known.mapped())) {
    log_.write(scene, ProcessEvent{false, known.mapped().parent_pid, {}});
  }
  leave(process);
}

void ProcessLife::leave(os::ProcessKey process) {
  std::vector<Va> spaces;
  for (const auto& [object, view] : processes_.all()) {
    if (view->processes.contains(process)) spaces.push_back(Va{object});
  }
  for (const Va object : spaces) modules_.forget(object, process);
}

// Processes that a signal has killed make no syscall to say so.
Result<> ProcessLife::reap() {
  const auto start = Clock::now();
  const auto processes = model_.processes();
  const auto done = Clock::now();
  next_reap_ = done + std::max<Clock::duration>(kReapEvery, kReapRest * (done - start));
  if (!processes) return {};
  std::unordered_set<os::ProcessKey> present;
  for (const os::Process& process : *processes) present.insert(process.key);
  std::vector<os::Process> gone;
  for (const auto& [key, process] : alive_) {
    if (!present.contains(key)) gone.push_back(process);
  }
  for (const os::Process& process : gone) {
    const Pa root = process.page_table.value_or(Pa{});
    end(process.key, {0, root, process.pid, process.pid, process.name, {}, process.key});
  }
  std::erase_if(exiting_, [&](const auto& exiting) { return !present.contains(exiting.first); });
  return {};
}

}  // namespace swat::daemon
