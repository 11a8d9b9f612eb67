// Keeps the traps on functions in step with what processes have mapped, and logs what comes and
// goes: import watches for every module's slots, breakpoints for functions asked for by name.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/event_log.hpp"
#include "daemon/function_pattern.hpp"
#include "daemon/planner.hpp"
#include "daemon/process_table.hpp"
#include "daemon/selection.hpp"
#include "daemon/trap_set.hpp"

namespace swat::daemon {

class ModuleTraps {
 public:
  // `imports` may be null: then no slots are watched. Of the others those that `calls` wants. All
  // references outlive this.
  ModuleTraps(ProcessTable& processes, TrapSet& traps, EventLog& log, const TrapKind* imports,
              std::vector<FunctionPattern> functions, CallFilter calls = {})
      : processes_(processes),
        traps_(traps),
        log_(log),
        imports_(imports),
        functions_(std::move(functions)),
        calls_(std::move(calls)) {}

  // Reads what the thread's process has mapped now, logs the difference, and moves the traps. The
  // guest is stopped. `announce` is false for what was there before we came.
  [[nodiscard]] Result<> refresh(const os::Thread& thread, const EventLog::Scene& scene,
                                 bool announce);
  // The process is gone, and its address space with it unless others share that.
  void forget(Va memory_object, std::uint32_t pid);

 private:
  void leave_old_spaces(const os::Process& process);
  [[nodiscard]] Result<> arm(ProcessView& view);
  void select_slots(ProcessView& view) const;
  [[nodiscard]] std::vector<Trap> wanted(const ProcessView& view) const;
  void add_functions(const LoadedModule& loaded, std::vector<Trap>& traps) const;

  ProcessTable& processes_;
  TrapSet& traps_;
  EventLog& log_;
  const TrapKind* imports_;
  std::vector<FunctionPattern> functions_;
  CallFilter calls_;
  std::unordered_map<std::uint64_t, std::vector<Trap>> armed_;  // by memory object
  bool told_full_ = false;
};

}  // namespace swat::daemon
