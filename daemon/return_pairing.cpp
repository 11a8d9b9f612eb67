#include "daemon/return_pairing.hpp"

#include <utility>
#include <vector>

#include "osmodels/linux/errors.hpp"

namespace swat::daemon {
namespace {

using os::linux_os::Return;
using Outcome = ReturnEvent::Outcome;

constexpr std::size_t kMostKnown = 1 << 16;
constexpr std::size_t kMostHalfSeen = 1 << 12;

// A 32-bit call's result is 32 bits: an error, or a number or address that has no sign.
std::int64_t result_of(const os::SyscallAbi& abi, std::uint64_t rax) {
  if (abi.word == 8) return static_cast<std::int64_t>(rax);
  constexpr std::int32_t kLargestError = 4095;
  const auto low = static_cast<std::uint32_t>(rax);
  const auto signed_low = static_cast<std::int32_t>(low);
  return signed_low < 0 && signed_low >= -kLargestError ? signed_low : std::int64_t{low};
}

template <class Map>
void bound(Map& map, std::size_t most) {
  if (map.size() >= most) map.clear();
}

}  // namespace

void ReturnPairing::begin(std::span<const os::Process> processes) {
  for (const os::Process& process : processes) known_[process.object] = process.pid;
}

ReturnPairing::OpenCalls::iterator ReturnPairing::find(const os::Thread& thread) {
  const auto at = open_.find(thread.object);
  if (at == open_.end() || at->second.scene.tid == thread.tid) return at;
  // Another number: a thread in execve that has become its process's first, or a new thread.
  const bool renamed = os::linux_os::return_of(at->second.call.name) == Return::kInNewImage &&
                       at->second.scene.key == thread.process.key;
  if (renamed) return at;
  close(at, Outcome::kDied);
  return open_.end();
}

bool ReturnPairing::is_in_call(const os::Thread& thread) const {
  return open_.contains(thread.object);
}

void ReturnPairing::close(OpenCalls::iterator at, Outcome outcome) {
  const Open open = open_.extract(at).mapped();
  log_.write(open.scene, open.call.end(outcome));
}

void ReturnPairing::close_others(os::ProcessKey process, Va survivor) {
  for (auto it = open_.begin(); it != open_.end();) {
    const auto here = it++;
    if (here->second.scene.key == process && here->first != survivor) close(here, Outcome::kDied);
  }
}

void ReturnPairing::enter(const LoggedCall& call, const Actor& actor, Clock::time_point now) {
  if (const auto before = find(actor.thread); before != open_.end())
    close_before(before, actor, now);
  if (os::linux_os::return_of(call.name) != Return::kNever) {
    open_.emplace(actor.thread.object, Open{call, actor.scene, now, {}});
    return;
  }
  log_.write(actor.scene, call.end(Outcome::kNever));
  const bool takes_all = os::effect_of(call.name) == os::Effect::kExits;
  if (takes_all) close_others(actor.scene.key, actor.thread.object);
}

// ARM's kernel restarts a call by itself that a signal without a handler has met, since 3.6: what
// is seen then is another call. [arch/arm/kernel/signal.c, do_signal(); entry-common.S,
// local_restart]
void ReturnPairing::close_before(OpenCalls::iterator at, const Actor& actor,
                                 Clock::time_point now) {
  const LoggedCall& call = at->second.call;
  const auto peeked = at->second.peeked;
  const std::int64_t result = peeked ? result_of(*call.abi, *peeked) : 0;
  if (!os::linux_os::is_restart(result)) return close(at, Outcome::kMissed);
  const Open open = open_.extract(at).mapped();
  write_result(open, actor, now, result);
}

// A fork copies the registers before there is a result. Others are hardly looked at before: then
// what is there may be the result, though it is what was there.
// In x86 kernels before 4.2, and for int 0x80 since 6.7, it holds the call's number for a moment.
// [copy_thread() in arch/x86/kernel/process.c; do_int80_emulation() in arch/x86/entry/common.c]
void ReturnPairing::peeked(const os::Thread& thread, std::uint64_t word) {
  const auto at = find(thread);
  if (at == open_.end() || at->second.peeked) return;
  Open& open = at->second;
  const LoggedCall& call = open.call;
  const bool is_fork = os::linux_os::return_of(call.name) == Return::kTwice;
  const bool is_x86 = call.before == LoggedCall::kNoSuchCall;
  const std::int64_t result = result_of(*call.abi, word);
  if ((is_x86 || is_fork) && result == result_of(*call.abi, call.before)) return;
  const bool may_be_number = is_x86 && (call.abi->word == 4 || is_fork);
  if (may_be_number && result == static_cast<std::int64_t>(call.number)) return;
  open.peeked = word;
}

void ReturnPairing::leave(const Actor& actor, std::uint64_t rax, Clock::time_point now,
                          std::optional<Va> user_pc) {
  const auto at = find(actor.thread);
  if (at == open_.end()) return;
  const Open open = open_.extract(at).mapped();
  const bool goes_on = user_pc && user_pc == open.call.next_pc;
  const std::uint64_t returned = goes_on ? rax : open.peeked.value_or(rax);
  const std::int64_t result = result_of(*open.call.abi, returned);
  write_result(open, actor, now, result);
  const Return how = os::linux_os::return_of(open.call.name);
  if (how == Return::kInNewImage && result == 0) {
    close_others(actor.scene.key, actor.thread.object);
    known_[actor.thread.object] = actor.thread.tid;
  }
  if (how == Return::kTwice && result > 0 && !open.has_returned_in_child) {
    returned_twice(open, result);
  }
}

void ReturnPairing::write_result(const Open& open, const Actor& actor, Clock::time_point now,
                                 std::int64_t result) {
  ReturnEvent event =
      open.call.end(os::linux_os::is_restart(result) ? Outcome::kInterrupted : Outcome::kReturned);
  event.result = result;
  event.error = os::linux_os::error_name(result);
  write_end(open, actor, now, event);
}

void ReturnPairing::write_end(const Open& open, const Actor& actor, Clock::time_point now,
                              ReturnEvent event) {
  event.duration = now - open.since;
  const auto before = open.scene.guest_time_ns;
  const auto after = actor.scene.guest_time_ns;
  if (before && after && *after >= *before) {
    event.guest_duration = std::chrono::nanoseconds(*after - *before);
  }
  log_.write(actor.scene, event);
}

bool ReturnPairing::is_interrupted(const os::Thread& thread, Va user_pc) const {
  const auto at = open_.find(thread.object);
  if (at == open_.end() || at->second.peeked) return false;
  const LoggedCall& call = at->second.call;
  const Return how = os::linux_os::return_of(call.name);
  const bool goes_elsewhere = how == Return::kElsewhere || how == Return::kInNewImage;
  return call.next_pc && *call.next_pc != user_pc && !goes_elsewhere;
}

void ReturnPairing::interrupt(const Actor& actor, Clock::time_point now) {
  const auto at = find(actor.thread);
  if (at == open_.end()) return;
  const Open open = open_.extract(at).mapped();
  write_end(open, actor, now, open.call.end(Outcome::kInterrupted));
}

void ReturnPairing::miss(const os::Thread& thread) {
  if (const auto at = find(thread); at != open_.end()) close(at, Outcome::kMissed);
}

// --- The other return of a fork

void ReturnPairing::meet(const Actor& actor) {
  const os::Thread& thread = actor.thread;
  if (thread.object.is_null()) return;
  bound(known_, kMostKnown);
  const auto [known, is_new] = known_.try_emplace(thread.object, thread.tid);
  if (!is_new && known->second == thread.tid) return;
  known->second = thread.tid;
  if (open_.contains(thread.object) && find(thread) != open_.end()) return;  // renamed by execve
  if (auto fork = unmet_.extract(thread.tid)) return write_in_child(fork.mapped(), actor.scene);
  const std::vector<Open*> forks = open_forks_of(thread);
  // What processes there were at the beginning is known, what threads they had is not.
  const bool is_new_process = thread.tid == thread.process.pid;
  if (forks.size() == 1 && is_new_process) {
    forks.front()->has_returned_in_child = true;
    write_in_child(forks.front()->call, actor.scene);
  } else if (!forks.empty()) {
    bound(unclaimed_, kMostHalfSeen);
    unclaimed_[thread.tid] = actor.scene;
  }
}

// The forks that `child` may come from: if it is its process's first thread those of its parent,
// else those of its own process.
std::vector<ReturnPairing::Open*> ReturnPairing::open_forks_of(const os::Thread& child) {
  const os::Process& process = child.process;
  const os::ProcessKey forker = child.tid == process.pid ? process.parent : process.key;
  std::vector<Open*> found;
  for (auto& [object, open] : open_) {
    const bool fits = open.scene.key == forker && !open.has_returned_in_child &&
                      os::linux_os::return_of(open.call.name) == Return::kTwice;
    if (fits) found.push_back(&open);
  }
  return found;
}

void ReturnPairing::returned_twice(const Open& open, std::int64_t child_tid) {
  const auto tid = static_cast<std::uint32_t>(child_tid);
  if (const auto child = unclaimed_.extract(tid)) return write_in_child(open.call, child.mapped());
  bound(unmet_, kMostHalfSeen);
  unmet_[tid] = open.call;
}

void ReturnPairing::write_in_child(const LoggedCall& call, const EventLog::Scene& child) {
  ReturnEvent event = call.end(Outcome::kInChild);
  event.result = 0;
  log_.write(child, event);
}

// --- Calls without a return

void ReturnPairing::reap(const std::function<bool(os::ProcessKey)>& is_alive) {
  for (auto it = open_.begin(); it != open_.end();) {
    const auto here = it++;
    if (!is_alive(here->second.scene.key)) close(here, Outcome::kDied);
  }
}

void ReturnPairing::finish() {
  while (!open_.empty()) close(open_.begin(), Outcome::kUnfinished);
}

}  // namespace swat::daemon
