// Which kind of trap realises what is asked for, on this QEMU, and why.
#pragma once

#include <string>
#include <vector>

#include "daemon/trap.hpp"
#include "daemon/vm.hpp"
#include "osmodels/model.hpp"

namespace swat::daemon {

struct EntryPlan {
  os::SyscallEntry entry;
  const TrapKind* kind = nullptr;
  std::vector<Trap> traps;
  std::string why;  // the kinds that were passed over, and the reason of each
};

// Syscalls by watches, calls by QEMU's execution log (exec_log.hpp): complete, and slow for the
// guest, so nobody but the user chooses it.
inline constexpr std::string_view kExecLog = "exec-log";

class Planner {
 public:
  // `only`: a TrapKind's name, or kExecLog, or "" to choose. kUsage: there is no such kind.
  [[nodiscard]] static Result<Planner> make(const Vm& vm, std::string_view only) {
    return for_accelerator(vm.is_kvm(), only);
  }
  [[nodiscard]] static Result<Planner> for_accelerator(bool is_kvm, std::string_view only);

  [[nodiscard]] Result<std::vector<EntryPlan>> entries(os::GuestView& guest,
                                                       os::OsModel& model) const;
  // Null: this QEMU has no way to watch imports.
  [[nodiscard]] const TrapKind* imports() const { return imports_; }
  [[nodiscard]] bool uses_exec_log() const { return exec_log_; }

 private:
  std::vector<const TrapKind*> kinds_;  // allowed ones, in the order of preference
  const TrapKind* imports_ = nullptr;
  bool exec_log_ = false;
};

}  // namespace swat::daemon
