// Where vCPUs stand that may have read an import slot, or are about to: what their registers and
// the code there say, whatever QEMU has reported of them. The guest stands still.
#pragma once

#include <optional>

#include "daemon/process_table.hpp"
#include "daemon/trap_set.hpp"
#include "daemon/vm.hpp"
#include "osmodels/emulation.hpp"

namespace swat::daemon {

class ImportPlaces {
 public:
  // All outlive this. `are_watched`: import slots are; else nobody stands at one.
  // `page_fault_entry`: where the kernel begins to handle page faults, if that is known.
  ImportPlaces(Vm& vm, os::OsModel& model, ProcessTable& processes, const TrapSet& traps,
               bool are_watched, std::optional<Va> page_fault_entry)
      : vm_(vm),
        model_(model),
        processes_(processes),
        traps_(traps),
        are_watched_(are_watched),
        page_fault_entry_(page_fault_entry) {}

  // At a callee's first instruction; or, when the callee's page was absent, at that of the fault
  // handler, before the interrupt that QEMU stops with could be taken.
  [[nodiscard]] bool may_have_called(unsigned vcpu);
  // A slot has been read, perhaps, and not for a call.
  [[nodiscard]] bool may_have_loaded(unsigned vcpu);

  // Where vCPUs stop before the access: the watched read that a thread in user mode stands before.
  [[nodiscard]] std::optional<os::SlotRead> read_ahead(unsigned vcpu, const os::Thread& thread);
  [[nodiscard]] std::optional<os::SlotRead> read_ahead(unsigned vcpu);

 private:
  Vm& vm_;
  os::OsModel& model_;
  ProcessTable& processes_;
  const TrapSet& traps_;
  bool are_watched_;
  std::optional<Va> page_fault_entry_;
};

}  // namespace swat::daemon
