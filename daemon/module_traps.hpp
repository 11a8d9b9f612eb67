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

// Functions that are to have a breakpoint each. QEMU looks through all its breakpoints at every
// jump between pages of the whole guest (facts/qemu.md 1.2), hit or not.
struct FunctionBreaks {
  static constexpr std::size_t kDefaultBudget = 512;  // one function in as many processes

  std::vector<FunctionPattern> functions;
  std::size_t budget = kDefaultBudget;  // breakpoints at once
};

class ModuleTraps {
 public:
  // `imports` may be null: then no slots are watched. Of the others those that `calls` wants.
  // Images of narrower words than `least_word_bytes` get no traps (osmodels/architecture.hpp). All
  // references outlive this.
  ModuleTraps(ProcessTable& processes, TrapSet& traps, EventLog& log, const TrapKind* imports,
              FunctionBreaks breaks, CallFilter calls = {}, unsigned least_word_bytes = 0)
      : processes_(processes),
        traps_(traps),
        log_(log),
        imports_(imports),
        breaks_(std::move(breaks)),
        calls_(std::move(calls)),
        least_word_bytes_(least_word_bytes) {}

  // Reads what the thread's process has mapped now, logs the difference, and moves the traps. The
  // guest is stopped. `announce` is false for what was there before we came.
  [[nodiscard]] Result<> refresh(const os::Thread& thread, const EventLog::Scene& scene,
                                 bool announce);
  // kUsage, and what to do instead: what was there before us has more functions to break on than
  // the budget allows. Of what comes later those beyond it are left out, with a gap event.
  [[nodiscard]] Result<> within_budget() const;
  // The process is gone, and its address space with it unless others share that.
  void forget(Va memory_object, os::ProcessKey process);

 private:
  void leave_old_spaces(const os::Process& process);
  [[nodiscard]] Result<> arm(ProcessView& view);
  [[nodiscard]] bool may_trap(const LoadedModule& loaded) const {
    return loaded.image != nullptr && loaded.image->word_bytes >= least_word_bytes_;
  }
  void select_slots(ProcessView& view) const;
  void add_slots(const ProcessView& view, std::vector<Trap>& traps) const;
  [[nodiscard]] std::vector<Trap> functions_of(const ProcessView& view) const;
  void add_functions(const LoadedModule& loaded, std::vector<Trap>& traps) const;
  void refuse(const std::vector<Trap>& functions);

  ProcessTable& processes_;
  TrapSet& traps_;
  EventLog& log_;
  const TrapKind* imports_;
  FunctionBreaks breaks_;
  CallFilter calls_;
  unsigned least_word_bytes_;
  std::unordered_map<std::uint64_t, std::vector<Trap>> armed_;  // by memory object
  std::vector<Trap> refused_;  // over the budget, of what was there before us
  bool began_ = false;         // something was announced: what comes now was not there before us
  bool told_full_ = false;
  bool told_budget_ = false;
};

}  // namespace swat::daemon
