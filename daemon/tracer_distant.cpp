// System calls through a distant stub, where a round trip costs more than everything else: what
// tells who runs, the registers and the resume go out in one write. Who runs is a guess then. Where
// it was wrong, or where something more has to be read, the event waits for the next stop.
#include <algorithm>

#include "daemon/tracer.hpp"

namespace swat::daemon {

// Nothing else may have to be done at this stop. 64-bit calls only: what another kind reads of the
// caller's stack is the guest's again once it runs. A thread that was made a moment ago is not
// among the guesses, and its first call may well be execve: after that nobody could tell who it
// was.
bool Tracer::may_guess(const std::vector<const Trap*>& traps) {
  constexpr unsigned kStopsAfterSpawn = 32;
  if (is_smp() || vm_.ram().is_local() || exec_log_ != nullptr || returns_.is_on()) return false;
  if (processes_.take_spawner()) careful_stops_ = kStopsAfterSpawn;
  if (careful_stops_ > 0) {
    --careful_stops_;
    return false;
  }
  if (traps_.has_removals() || !calibration_.is_over()) return false;
  return !traps.empty() && std::ranges::all_of(traps, [](const Trap* trap) {
    const auto* entry = std::get_if<EntryTrap>(&trap->what);
    return entry != nullptr && entry->abi->word == 8;
  });
}

Result<bool> Tracer::on_distant_entry(unsigned vcpu, const std::vector<const Trap*>& traps) {
  if (!may_guess(traps)) return false;
  const auto pieces = model_.guess_current(vcpu);
  if (pieces.empty() || !vm_.ram().holds(pieces)) return false;
  const auto id = vm_.session().threads()[vcpu];
  auto got = SWAT_TRY(vm_.session().read_and_resume(id, pieces));
  auto thread = got.memory ? model_.judge_current() : tl::unexpected(got.memory.error());
  vm_.guest().remember(vcpu, got.registers);
  const EntryTrap* entry = find_entry(traps, pc_of(vcpu));
  if (entry == nullptr) {
    ++idle_stops_;
    return true;
  }
  if (const auto actor = thread ? life_.recognise(vcpu, *thread) : std::nullopt) {
    if (!syscalls_.enter(*entry, *actor)) ++idle_stops_;
    return true;
  }
  unattended_ = {vcpu, *entry, std::move(got.registers), std::move(thread)};
  return true;
}

// The guest has run since. What the event's thread was, it still is, unless its call was one that
// changes or ends it: then only its address space can be told, which is in the registers.
Result<> Tracer::attend() {
  if (!unattended_) return {};
  Unattended event = *std::exchange(unattended_, std::nullopt);
  const unsigned vcpu = event.vcpu;
  vm_.guest().remember(vcpu, event.registers);
  auto& thread = event.thread;
  if (!thread && thread.error().code == Errc::kNotFound) {
    thread = model_.thread(Va{thread.error().guest.value_or(0)}, user_root_of(vcpu));
  }
  Actor actor = SWAT_TRY(life_.meet(vcpu, std::move(thread)));
  constexpr std::uint64_t kFlags = 0xfff;
  if (actor.thread.object.is_null()) {
    actor.scene.address_space = Pa{user_root_of(vcpu) & ~kFlags};
  }
  if (!syscalls_.enter(event.entry, actor)) ++idle_stops_;
  vm_.guest().forget();
  return {};
}

}  // namespace swat::daemon
