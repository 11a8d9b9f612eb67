#include "daemon/process_life.hpp"

#include <spdlog/spdlog.h>

#include <unordered_set>
#include <vector>

namespace swat::daemon {
namespace {

constexpr std::chrono::milliseconds kReapEvery{1000};

}  // namespace

Result<> ProcessLife::list() {
  next_reap_ = Clock::now() + kReapEvery;
  for (const os::Process& process : SWAT_TRY(model_.processes())) {
    alive_.emplace(process.pid, process);
    if (process.memory_object.is_null()) continue;
    const os::Thread thread{process.object, process.pid, process};
    // A process in the middle of its own exit or exec has unreadable maps; its next event retries.
    if (auto read = modules_.refresh(thread, {}, false); !read) {
      if (read.error().code == Errc::kDisconnected) return read;
      spdlog::debug("maps of {} ({}): {}", process.pid, process.name, read.error().what);
    }
  }
  return {};
}

Result<Actor> ProcessLife::meet(unsigned vcpu) {
  auto thread = model_.current(vcpu);
  const auto time = model_.wall_clock_ns();
  if (!thread) {
    if (thread.error().code == Errc::kDisconnected) return tl::unexpected(thread.error());
    spdlog::debug("vCPU {} runs no task that can be read: {}", vcpu, thread.error().what);
    thread = os::Thread{};
    thread->process.name = "?";
  }
  Actor actor{*std::move(thread), {}};
  const os::Process& process = actor.thread.process;
  actor.scene = {vcpu,         process.page_table.value_or(Pa{}),
                 process.pid,  actor.thread.tid,
                 process.name, time ? std::optional(*time) : std::nullopt};
  if (process.pid != 0 && !alive_.contains(process.pid)) start(actor);
  if (processes_.is_stale(actor.thread)) {
    const auto read = modules_.refresh(actor.thread, actor.scene, true);
    if (!read && read.error().code == Errc::kDisconnected) return tl::unexpected(read.error());
    if (!read) spdlog::debug("maps of {}: {}", process.pid, read.error().what);
  }
  if (Clock::now() >= next_reap_) SWAT_CHECK(reap());
  return actor;
}

void ProcessLife::start(const Actor& actor) {
  const os::Process& process = actor.thread.process;
  alive_.emplace(process.pid, process);
  const ProcessView* view = processes_.find(process);
  const bool has_image = view != nullptr && !view->modules.empty();
  log_.write(actor.scene, ProcessEvent{true, process.parent_pid,
                                       has_image ? view->modules.front().module.path : ""});
}

void ProcessLife::end(std::uint32_t pid, const EventLog::Scene& scene) {
  const auto known = alive_.extract(pid);
  if (known.empty()) return;
  log_.write(scene, ProcessEvent{false, known.mapped().parent_pid, {}});
  std::vector<Va> spaces;
  for (const auto& [object, view] : processes_.all()) {
    if (view->pids.contains(pid)) spaces.push_back(Va{object});
  }
  for (const Va object : spaces) modules_.forget(object, pid);
}

// Processes that a signal has killed make no syscall to say so.
Result<> ProcessLife::reap() {
  next_reap_ = Clock::now() + kReapEvery;
  const auto processes = model_.processes();
  if (!processes) return {};
  std::unordered_set<std::uint32_t> present;
  for (const os::Process& process : *processes) present.insert(process.pid);
  std::vector<os::Process> gone;
  for (const auto& [pid, process] : alive_) {
    if (!present.contains(pid)) gone.push_back(process);
  }
  for (const os::Process& process : gone) {
    end(process.pid,
        {0, process.page_table.value_or(Pa{}), process.pid, process.pid, process.name});
  }
  return {};
}

}  // namespace swat::daemon
