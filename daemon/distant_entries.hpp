// System calls of the only vCPU through a distant stub, where a round trip costs more than
// everything else: what tells who runs, the registers and the resume go out in one write. Who runs
// is a guess then. Where it was wrong, or where something more has to be read, the event waits for
// the next stop.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "daemon/recorder.hpp"

namespace swat::daemon {

class DistantEntries {
 public:
  // All outlive this.
  DistantEntries(Vm& vm, os::OsModel& model, ProcessTable& processes, const TrapSet& traps,
                 ProcessLife& life, const Calibration& calibration, Recorder& recorder)
      : vm_(vm),
        model_(model),
        processes_(processes),
        traps_(traps),
        life_(life),
        calibration_(calibration),
        recorder_(recorder) {}

  // The vCPU has been stopped by a watch that means `traps`. False: this is no stop for it, nothing
  // has happened. Else the guest runs.
  [[nodiscard]] Result<bool> on_watch(unsigned vcpu, const std::vector<const Trap*>& traps);
  // An event waits for the next stop.
  [[nodiscard]] bool is_waiting() const { return unattended_.has_value(); }
  // Logs it: the guest stands still, and nothing has been looked at yet.
  [[nodiscard]] Result<> attend();

 private:
  // A syscall that was seen while its thread could not be told.
  struct Unattended {
    unsigned vcpu;
    EntryTrap entry;
    std::vector<std::byte> registers;
    Result<os::Thread> thread;  // kNotFound: its object is in the error
  };
  [[nodiscard]] bool may_guess(const std::vector<const Trap*>& traps);
  [[nodiscard]] std::uint64_t user_root_of(unsigned vcpu) {
    return vm_.guest().reg_or_zero(vcpu, vm_.guest().machine().user_root);
  }

  Vm& vm_;
  os::OsModel& model_;
  ProcessTable& processes_;
  const TrapSet& traps_;
  ProcessLife& life_;
  const Calibration& calibration_;
  Recorder& recorder_;
  std::optional<Unattended> unattended_;
  unsigned careful_stops_ = 0;  // at so many more nothing is guessed
};

}  // namespace swat::daemon
