#include "daemon/distant_entries.hpp"

#include <algorithm>

namespace swat::daemon {

// Nothing else may have to be done at this stop. 64-bit calls only: what another kind reads of the
// caller's stack is the guest's again once it runs. A thread that was made a moment ago is not
// among the guesses, and its first call may well be execve: after that nobody could tell who it
// was.
bool DistantEntries::may_guess(const std::vector<const Trap*>& traps) {
  constexpr unsigned kStopsAfterSpawn = 32;
  if (vm_.ram().is_local() || recorder_.exec_log() != nullptr || recorder_.returns().is_on()) {
    return false;
  }
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

Result<bool> DistantEntries::on_watch(unsigned vcpu, const std::vector<const Trap*>& traps) {
  if (!may_guess(traps)) return false;
  const auto pieces = model_.guess_current(vcpu);
  if (pieces.empty() || !vm_.ram().holds(pieces)) return false;
  const auto id = vm_.session().threads()[vcpu];
  auto got = SWAT_TRY(vm_.session().read_and_resume(id, pieces));
  auto thread = got.memory ? model_.judge_current() : tl::unexpected(got.memory.error());
  vm_.guest().remember(vcpu, got.registers);
  const EntryTrap* entry = find_entry(traps, vm_.guest().pc(vcpu));
  if (entry == nullptr) {
    recorder_.count_idle();
    return true;
  }
  if (const auto actor = thread ? life_.recognise(vcpu, *thread) : std::nullopt) {
    SWAT_CHECK(recorder_.syscall(*entry, *actor));
    return true;
  }
  unattended_ = {vcpu, *entry, std::move(got.registers), std::move(thread)};
  return true;
}

// The guest has run since. What the event's thread was, it still is, unless its call was one that
// changes or ends it: then only its address space can be told, which is in the registers.
Result<> DistantEntries::attend() {
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
  SWAT_CHECK(recorder_.syscall(event.entry, actor));
  vm_.guest().forget();
  return {};
}

}  // namespace swat::daemon
