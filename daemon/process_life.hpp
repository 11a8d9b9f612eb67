// Who runs at a stop, and what becomes of processes: met for the first time, mapped anew, gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "daemon/event_log.hpp"
#include "daemon/module_traps.hpp"
#include "daemon/process_selection.hpp"
#include "daemon/process_table.hpp"
#include "osmodels/model.hpp"

namespace swat::daemon {

// Whom an event is of, and where it happened.
struct Actor {
  os::Thread thread;
  EventLog::Scene scene;
  bool selected = true;  // its events are wanted (process_selection.hpp)
};

class ProcessLife {
 public:
  // All outlive this.
  ProcessLife(os::OsModel& model, ProcessTable& processes, ModuleTraps& modules, EventLog& log,
              const Selection& selection)
      : model_(model),
        processes_(processes),
        modules_(modules),
        log_(log),
        selection_(selection.processes, model),
        tracks_modules_(selection.needs_modules()) {}

  // What is there when tracing begins: traps are armed, nothing is announced. Here as below only
  // for processes that are selected.
  [[nodiscard]] Result<> list();

  // Who runs on the vCPU; reads anew what it has mapped, where that may have changed. A thread that
  // cannot be read is called "?": its event is real all the same.
  [[nodiscard]] Result<Actor> meet(unsigned vcpu);

  // The same, when somebody else has read who runs there.
  [[nodiscard]] Result<Actor> meet(unsigned vcpu, Result<os::Thread> thread);
  // The same without reading the guest, which may be running. None: something has to be read.
  [[nodiscard]] std::optional<Actor> recognise(unsigned vcpu, const os::Thread& thread);

  // The same for a process that need not run just now; whether it is selected. The guest is
  // stopped.
  [[nodiscard]] Result<bool> meet(const os::Process& process);

  // The process exits by a syscall of its own. Its threads may still be met until the kernel is
  // done with it; that is not announced.
  void end(const Actor& actor);

  [[nodiscard]] std::size_t count() const { return alive_.size(); }
  // Of a selected process: it was there when last looked for, about a second ago.
  [[nodiscard]] bool is_alive(os::ProcessKey process) const { return alive_.contains(process); }

 private:
  using Clock = std::chrono::steady_clock;

  // Whose exit has been told.
  struct Exiting {
    Va process;  // kernel objects
    Va thread;   // that made the call
  };

  [[nodiscard]] Actor actor_of(unsigned vcpu, os::Thread thread);
  [[nodiscard]] Result<> get_to_know(Actor& actor);
  [[nodiscard]] Result<> reap();
  [[nodiscard]] Result<> read_modules(const Actor& actor, bool announce);
  void start(const Actor& actor);
  [[nodiscard]] bool is_exiting(const os::Process& process) const;
  // Nothing of the process is wanted any more.
  void leave(os::ProcessKey process);
  void end(os::ProcessKey process, const EventLog::Scene& scene);

  os::OsModel& model_;
  ProcessTable& processes_;
  ModuleTraps& modules_;
  EventLog& log_;
  ProcessSelection selection_;
  bool tracks_modules_;
  std::unordered_map<os::ProcessKey, os::Process> alive_;  // selected processes that were met
  std::unordered_map<os::ProcessKey, Exiting> exiting_;    // until they are gone
  Clock::time_point next_reap_;
};

}  // namespace swat::daemon
