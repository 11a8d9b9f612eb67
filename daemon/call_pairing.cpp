#include "daemon/call_pairing.hpp"

#include <algorithm>

namespace swat::daemon {
namespace {

// A thread may have several stacks, of signals and of coroutines: what is further off than this is
// on another, and tells nothing.
constexpr std::uint64_t kReach = 64 << 10;

bool is_below(Va slot, const CallFrame& frame) {
  return slot < frame.slot && frame.slot - slot <= kReach;
}

bool stands_behind(const CallFrame& frame, const UserPlace& place) {
  if (place.pc != frame.back) return false;
  const Va popped = frame.slot + frame.word_bytes;
  const std::uint64_t most = frame.word_bytes == 4 ? kMostPopped32 : 0;
  return popped <= place.sp && place.sp - popped <= most;
}

using Outcome = ReturnEvent::Outcome;

CallReturnEvent end_of(const LoggedFunction& call, Outcome outcome) {
  CallReturnEvent event;
  event.call = call.sequence.value_or(0);
  event.address = call.address;
  event.function = call.function;
  event.module = call.module;
  event.outcome = outcome;
  return event;
}

ReturnEvent end_of(const LoggedCall& call, Outcome outcome) { return call.end(outcome); }

void put_result(const LoggedFunction&, CallReturnEvent& event, std::uint64_t result,
                const CallPairing::Complete&) {
  event.result = result;
}

void put_result(const LoggedCall& call, ReturnEvent& event, std::uint64_t result,
                const CallPairing::Complete& complete) {
  event.result = static_cast<std::int64_t>(result);
  if (complete) complete(call, event);
}

}  // namespace

void CallPairing::close(const Open& open, Outcome outcome) {
  if (outcome == Outcome::kUnwound) ++unwound_;
  if (outcome == Outcome::kMissed) ++missed_;
  std::visit([&](const auto& call) { log_.write(open.scene, end_of(call, outcome)); }, open.call);
}

void CallPairing::close_if(const std::function<bool(const Open&)>& is_over, Outcome outcome) {
  for (std::size_t i = open_.size(); i-- > 0;) {
    if (!is_over(open_[i])) continue;
    close(open_[i], outcome);
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void CallPairing::close_left_below(const os::Thread& thread, const CallFrame& frame) {
  close_if(
      [&](const Open& open) {
        return open.thread == thread.object && is_below(open.frame.slot, frame);
      },
      Outcome::kUnwound);
}

void CallPairing::meet(const os::Thread& thread) {
  if (open_.empty() || thread.object.is_null()) return;
  const Va memory = thread.process.memory_object;
  if (memory.is_null()) return;  // on its way out
  const auto is_former = [&](const Open& open) {
    const bool same_memory = open.memory == memory;
    return open.thread == thread.object && !(same_memory && open.scene.tid == thread.tid);
  };
  // A thread that calls execve becomes its process's first.
  close_if(
      [&](const Open& open) {
        return is_former(open) && open.memory != memory && open.scene.key == thread.process.key;
      },
      Outcome::kNever);
  close_if(is_former, Outcome::kDied);
}

bool CallPairing::waits_in(const os::Thread& thread, const CallFrame& frame) const {
  const CallFrame* const known = frame_at(thread, frame.slot);
  return known != nullptr && known->back == frame.back;
}

void CallPairing::enter(const LoggedFunction& call, bool is_anew, const Actor& actor,
                        Clock::time_point now) {
  const CallFrame& frame = *call.frame;
  close_left_below(actor.thread, frame);
  close_if(
      [&](const Open& open) {
        return open.thread == actor.thread.object && open.frame.slot == frame.slot &&
               (is_anew || open.frame.back != frame.back);
      },
      Outcome::kUnwound);
  make_room();
  open_.push_back(
      {call, frame, actor.scene, actor.thread.object, actor.thread.process.memory_object, now});
}

void CallPairing::make_room() {
  if (open_.size() < kMost) return;
  close(open_.front(), Outcome::kMissed);
  open_.erase(open_.begin());
}

// A thread that calls the kernel is through with what it has called from there before.
void CallPairing::enter(const LoggedCall& call, const Actor& actor, Clock::time_point now) {
  const CallFrame& frame = *call.frame;
  close_left_below(actor.thread, frame);
  const auto is_through = [&](const Open& open) {
    return open.thread == actor.thread.object && open.frame.slot == frame.slot &&
           std::holds_alternative<LoggedCall>(open.call);
  };
  close_if(is_through, Outcome::kMissed);
  make_room();
  open_.push_back(
      {call, frame, actor.scene, actor.thread.object, actor.thread.process.memory_object, now});
}

const CallPairing::Open* CallPairing::innermost(const os::Thread& thread,
                                                const UserPlace& place) const {
  const Open* found = nullptr;
  for (const Open& open : open_) {
    if (open.thread != thread.object || open.scene.tid != thread.tid) continue;
    if (!stands_behind(open.frame, place)) continue;
    if (found == nullptr || open.frame.slot <= found->frame.slot) found = &open;
  }
  return found;
}

bool CallPairing::may_have_returned(const UserPlace& place) const {
  return std::ranges::any_of(open_,
                             [&](const Open& open) { return stands_behind(open.frame, place); });
}

bool CallPairing::has_returned(const os::Thread& thread, const UserPlace& place) const {
  return innermost(thread, place) != nullptr;
}

void CallPairing::leave(const Actor& actor, const UserPlace& place, std::uint64_t result,
                        Clock::time_point now, const Complete& complete) {
  const Open* const last = innermost(actor.thread, place);
  if (last == nullptr) return;
  const CallFrame frame = last->frame;
  close_left_below(actor.thread, frame);
  for (std::size_t i = open_.size(); i-- > 0;) {
    if (open_[i].thread != actor.thread.object || open_[i].frame.slot != frame.slot) continue;
    write_return(open_[i], actor, result, now, complete);
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void CallPairing::write_return(const Open& open, const Actor& actor, std::uint64_t result,
                               Clock::time_point now, const Complete& complete) {
  const std::uint64_t word = open.frame.word_bytes == 4 ? result & 0xffffffff : result;
  const auto before = open.scene.guest_time_ns;
  const auto after = actor.scene.guest_time_ns;
  const auto write = [&](const auto& call) {
    auto event = end_of(call, Outcome::kReturned);
    put_result(call, event, word, complete);
    event.duration = now - open.since;
    if (before && after && *after >= *before) {
      event.guest_duration = std::chrono::nanoseconds(*after - *before);
    }
    log_.write(actor.scene, std::move(event));
  };
  std::visit(write, open.call);
}

void CallPairing::read(const Actor& actor, Va slot, std::optional<std::uint64_t> word) {
  const auto is_overwritten = [&](const Open& open) {
    const bool is_own = open.thread == actor.thread.object && open.scene.tid == actor.thread.tid;
    if (!is_own || !word || open.frame.slot != slot) return false;
    const std::uint64_t mask = open.frame.word_bytes == 4 ? 0xffffffff : ~std::uint64_t{0};
    return (*word & mask) != open.frame.back.value;
  };
  close_if(is_overwritten, Outcome::kUnwound);
  for (Open& open : open_) {
    if (open.frame.slot != slot) continue;
    const bool is_other =
        std::holds_alternative<LoggedCall>(open.call) && open.thread != actor.thread.object;
    ++(is_other ? open.reads_by_others : open.reads);
  }
  const auto is_hopeless = [](const Open& open) {
    return open.reads >= kMostReads || open.reads_by_others >= kMostReadsByOthers;
  };
  close_if(is_hopeless, Outcome::kMissed);
}

void CallPairing::reap(const std::function<bool(os::ProcessKey)>& is_alive) {
  close_if([&](const Open& open) { return !is_alive(open.scene.key); }, Outcome::kDied);
}

void CallPairing::finish() {
  close_if([](const Open&) { return true; }, Outcome::kUnfinished);
}

bool CallPairing::needs(Va slot, std::uint64_t word_bytes) const {
  return std::ranges::any_of(open_, [&](const Open& open) {
    return open.frame.slot == slot && open.frame.word_bytes == word_bytes;
  });
}

bool CallPairing::tells_written(const os::Thread& thread, Va slot) const {
  return std::ranges::any_of(open_, [&](const Open& open) {
    const auto* const call = std::get_if<LoggedCall>(&open.call);
    return call != nullptr && call->prototype != nullptr && open.thread == thread.object &&
           open.frame.slot == slot;
  });
}

const CallFrame* CallPairing::frame_at(const os::Thread& thread, Va slot) const {
  for (const Open& open : open_) {
    if (open.thread == thread.object && open.frame.slot == slot) return &open.frame;
  }
  return nullptr;
}

}  // namespace swat::daemon
