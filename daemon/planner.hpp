// Which kind of trap realises what is asked for, on this QEMU, and why.
#pragma once

#include <string>
#include <vector>

#include "daemon/selection.hpp"
#include "daemon/trap.hpp"
#include "daemon/trap_cost.hpp"
#include "daemon/vm.hpp"
#include "osmodels/model.hpp"

namespace swat::daemon {

// "breakpoint", "read watch".
[[nodiscard]] std::string_view point_name(gdbproto::PointKind kind);

struct EntryPlan {
  os::SyscallEntry entry;
  const TrapKind* kind = nullptr;
  std::vector<Trap> traps;
  ExpectedCost cost;
  std::string why;                 // the kinds that were passed over, and the reason of each
  std::vector<EntryPlan> instead;  // what else can be had, in this order
  bool is_silent = false;          // the cost is that of silent stops

  // "table, 2 read watches, expected: 4 stops/s of 0.2 ms; not watch: 5000 stops/s of 0.2 ms".
  [[nodiscard]] std::string to_string() const;
  // Takes what is first in `instead`. False: there is nothing left.
  [[nodiscard]] bool fall_back(std::string_view reason);
};

// Syscalls by watches, calls by QEMU's execution log (exec_log.hpp): complete, and slow for the
// guest, so nobody but the user chooses it.
inline constexpr std::string_view kExecLog = "exec-log";

struct ReturnPlan {
  const TrapKind* kind = nullptr;
  std::vector<Trap> traps;  // none: see TrapKind::returns
  std::string why;
};

class Planner {
 public:
  // `only`: a TrapKind's name, or kExecLog, or "" to choose. kUsage: there is no such kind.
  [[nodiscard]] static Result<Planner> make(const Vm& vm, std::string_view only);
  [[nodiscard]] static Result<Planner> for_accelerator(bool is_kvm, std::string_view only,
                                                       std::string_view qemu_version = {});
  // Breakpoints may stop this QEMU silently (Vm::run_silently), while there is no watchpoint.
  void allow_silent_runs() { allows_silent_runs_ = true; }

  // For each way into the kernel the cheapest traps that notice what is selected. All of them or
  // none are silent.
  [[nodiscard]] Result<std::vector<EntryPlan>> entries(os::GuestView& guest, os::OsModel& model,
                                                       const Selection& selection = {}) const;
  [[nodiscard]] Result<ReturnPlan> returns(os::OsModel& model) const;
  // Null: this QEMU has no way to watch imports.
  [[nodiscard]] const TrapKind* imports() const { return imports_; }
  [[nodiscard]] bool uses_exec_log() const { return exec_log_; }

 private:
  [[nodiscard]] static bool is_possible(const TrapKind& kind, bool is_kvm);
  struct Request {
    os::GuestView& guest;
    os::OsModel& model;
    const os::SyscallEntry& entry;
    SyscallDemand demand;
    const TrapKind* native;  // what 64-bit callers got; null: this is their entry
    const StopCosts& costs;
  };
  // Whether nothing that is selected takes a watchpoint but, perhaps, on an entry.
  [[nodiscard]] bool may_run_silently(const Selection& selection) const;
  [[nodiscard]] Result<std::vector<EntryPlan>> entries_at(const StopCosts& costs,
                                                          os::GuestView& guest, os::OsModel& model,
                                                          const Selection& selection) const;
  [[nodiscard]] Result<EntryPlan> consider(const TrapKind& kind, const Request& request) const;
  // Why `kind` is not to be taken although it could be had; "": it may.
  [[nodiscard]] std::string objection(const TrapKind& kind, const Request& request) const;
  [[nodiscard]] Result<EntryPlan> plan_entry(const Request& request) const;

  std::vector<const TrapKind*> kinds_;  // allowed ones, in the order of preference
  const TrapKind* imports_ = nullptr;
  const TrapKind* chosen_ = nullptr;  // by the user, whatever it costs; null: none
  StopCosts costs_;
  bool is_measured_ = true;
  bool exec_log_ = false;
  bool allows_silent_runs_ = false;
};

}  // namespace swat::daemon
