// Proves the traps that the planner took, while they already trace: for a moment a breakpoint on
// the entry stands beside them, and what it sees they must notice (trap_proof.hpp). Traps that do
// not are replaced by those that come next, and what was missed is told in a gap event.
//
// Short, as QEMU up to 10.1 flushes its translations at every stop of a breakpoint. A guest in
// which nothing happens meanwhile proves nothing, and refutes nothing either.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "daemon/armed_entries.hpp"
#include "daemon/event_log.hpp"
#include "daemon/planner.hpp"
#include "daemon/process_life.hpp"
#include "daemon/trap_proof.hpp"
#include "daemon/trap_set.hpp"

namespace swat::daemon {

class Calibration {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kLength{300};

  // All outlive this.
  Calibration(TrapSet& traps, os::GuestView& guest, os::OsModel& model, EventLog& log)
      : traps_(traps), guest_(guest), model_(model), log_(log) {}

  // The traps of `plans` are armed. Those that are the breakpoint itself need no proof; without
  // `may_break` none is sought.
  [[nodiscard]] Result<> begin(std::vector<EntryPlan> plans, bool may_break, Clock::time_point now);

  // The breakpoint of `what` was hit by `actor`, whose syscall has this number. The guest stands
  // still, at a stop of ours.
  [[nodiscard]] Result<> entered(const ProofTrap& what, const Actor& actor, std::uint32_t number);
  // Of the entry that this is the proof of.
  [[nodiscard]] const os::SyscallAbi& abi_of(const ProofTrap& what) const;
  // By the traps themselves.
  void noticed(const Actor& actor, std::uint32_t number);

  [[nodiscard]] bool is_over() const { return under_proof_ == 0; }
  [[nodiscard]] bool is_due(Clock::time_point now) const { return !is_over() && now >= end_; }
  // The time is up. The guest stands still.
  [[nodiscard]] Result<> end();

  // All that is armed now, of entries.
  [[nodiscard]] std::vector<Trap> armed() const;
  // The same to look up; begin(), entered() and end() change it.
  [[nodiscard]] const ArmedEntries& entries() const { return entries_; }

 private:
  struct Subject {
    EntryPlan plan;
    std::optional<Trap> reference;  // the breakpoint; none: there is nothing to prove (any more)
    std::vector<Trap> extra;        // for syscalls that nobody has asked for
    TrapProof proof;
  };
  [[nodiscard]] Result<> expect(Subject& subject, std::uint32_t number);
  [[nodiscard]] Result<> fall_back(Subject& subject);
  [[nodiscard]] Result<> conclude(Subject& subject);
  void drop(const std::vector<Trap>& traps);
  void update_entries() { entries_ = ArmedEntries(armed()); }

  TrapSet& traps_;
  os::GuestView& guest_;
  os::OsModel& model_;
  EventLog& log_;
  std::vector<Subject> subjects_;
  std::size_t under_proof_ = 0;
  ArmedEntries entries_;
  Clock::time_point end_;
};

}  // namespace swat::daemon
