// Returns of syscalls (--returns): the traps that notice them, and whose they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_set>
#include <vector>

#include "daemon/event_log.hpp"
#include "daemon/logged_call.hpp"
#include "daemon/planner.hpp"
#include "daemon/process_life.hpp"
#include "daemon/return_pairing.hpp"
#include "daemon/return_traps.hpp"
#include "daemon/vm.hpp"

namespace swat::daemon {

class ReturnLog {
 public:
  using Watched = ReturnTraps::Watched;

  // All outlive this. Off until begin(): then nothing here does anything.
  ReturnLog(Vm& vm, os::OsModel& model, const ProcessLife& life, EventLog& log)
      : vm_(vm), model_(model), life_(life), pairing_(log) {}

  // The traps to set for good. The guest stands still.
  [[nodiscard]] Result<std::vector<Trap>> begin(const Planner& planner);
  [[nodiscard]] bool is_on() const { return on_; }

  // `actor` has been met at a stop, of whatever kind.
  void meet(const Actor& actor);
  // What has to change in the stub before `actor`, at the entry of a syscall, runs on.
  [[nodiscard]] gdbproto::PointChanges at_entry(const Actor& actor);
  // That syscall has been logged.
  void enter(const LoggedCall& call, const Actor& actor);

  // The watch that starts at `at`, if it is one of a result; as it is now.
  [[nodiscard]] std::optional<Watched> watched(Va at) const;
  // Whether a read of the word by `actor` may say anything: it is the thread's own, in a call.
  [[nodiscard]] bool concerns(const Watched& watched, const Actor& actor) const;
  // After a read that says nothing. Whoever reads another thread's word (a debugger in the guest)
  // will not do so for each exception, as the thread itself would.
  [[nodiscard]] gdbproto::PointChanges after_idle_read(const Watched& watched, const Actor& actor);
  // The result as it is now. The guest stands still.
  [[nodiscard]] std::optional<std::uint64_t> value(const Watched& watched);
  // The read was that of the way back to user mode; if not, the kernel has only looked. By the
  // vCPU's registers as of the stop.
  [[nodiscard]] bool is_return(const Watched& watched, unsigned vcpu);
  // What follows from either. `word`: what value() was before the guest ran on; none if it was not
  // asked, as the guest still stands, or if there was none.
  void leave(const Actor& actor, const Watched& watched, std::optional<std::uint64_t> word);
  // Where vCPUs stop before the read: the result is not in its register yet. The guest stands
  // still.
  void leave_before_read(const Actor& actor, const Watched& watched);
  void peeked(const Actor& actor, std::uint64_t word);

  // Several vCPUs: whether one may stand just behind a read that QEMU has not reported, by its PC.
  [[nodiscard]] bool may_have_read(unsigned vcpu);
  // The watch of the thread that runs on it, after current().
  [[nodiscard]] std::optional<Watched> own_watch(unsigned vcpu);

  // A breakpoint on the way out. The guest stands still. False: no syscall ends here.
  bool at_exit(const Actor& actor);

  // Tracing ends.
  void finish();
  // Our watches go out of the stub. The guest is stopped, and not by one of them.
  [[nodiscard]] Result<> disarm();

 private:
  using Clock = std::chrono::steady_clock;

  void find_exit_pcs();
  // A signal may have met the call without our knowledge: where user mode goes on must tell.
  [[nodiscard]] bool may_miss_peeks() const;
  // Where the thread will go on in user mode; none where that is not known. The guest stands still.
  [[nodiscard]] std::optional<Va> user_pc(unsigned vcpu);
  [[nodiscard]] bool leaves_frame(unsigned vcpu);
  [[nodiscard]] std::uint64_t in_register(unsigned vcpu);
  void leave(const Actor& actor);  // with what is in the register
  void leave_with(const Actor& actor, std::uint64_t result);
  // One of a result's words. The guest stands still.
  [[nodiscard]] std::optional<std::uint64_t> read(const os::ResultWord& word, Va at);

  Vm& vm_;
  os::OsModel& model_;
  const ProcessLife& life_;
  ReturnPairing pairing_;
  ReturnTraps traps_;
  std::unordered_set<Va> exit_pcs_;  // where a return's read is stopped
  std::unordered_set<Va> peek_pcs_;  // where the kernel's own reads have been stopped so far
  bool on_ = false;
  bool by_watch_ = false;
  bool is_watched_ = false;  // what at_entry() has last seen to
  Clock::time_point next_reap_;
};

}  // namespace swat::daemon
