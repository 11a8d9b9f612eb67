#include "daemon/call_returns.hpp"

#include <spdlog/spdlog.h>

#include "daemon/call_resolver.hpp"

namespace swat::daemon {
namespace {

constexpr std::chrono::milliseconds kReapEvery{1000};

}  // namespace

Result<> CallReturns::begin(const Planner& planner, std::optional<Va> page_fault_entry) {
  if (planner.uses_exec_log()) {
    return fail(Errc::kUsage, "--returns=calls: the execution log does not tell results");
  }
  if (vm_.is_kvm() || vm_.guest().architecture() != os::Architecture::kX86_64) {
    return fail(Errc::kUnsupported,
                "--returns=calls needs TCG and an x86_64 guest: returns are seen by read watches "
                "on the stack");
  }
  on_ = true;
  watches_.keep_idle(vm_.guest().vcpu_count() == 1 ? 1 : 0);
  page_fault_entry_ = page_fault_entry;
  next_reap_ = Clock::now() + kReapEvery;
  spdlog::info("returns of calls: a read watch on each return address, of {} calls at once at most",
               CallPairing::kMost);
  return {};
}

StackWatches::IsNeeded CallReturns::is_needed() const {
  return [this](Va at, std::uint64_t size_bytes) { return pairing_.needs(at, size_bytes); };
}

void CallReturns::meet(const Actor& actor) {
  if (!on_) return;
  pairing_.meet(actor.thread);
  const auto now = Clock::now();
  if (now < next_reap_) return;
  next_reap_ = now + kReapEvery;
  pairing_.reap([&](os::ProcessKey process) { return life_.is_alive(process); });
}

// What a caller calls through a pointer is not known any more: then a tail call is likelier than a
// longjmp to the very same place.
bool CallReturns::is_called_anew(const CallFrame& frame, const Actor& actor) {
  if (!pairing_.waits_in(actor.thread, frame) || frame.word_bytes != 8) return false;
  return is_called_from(*model_.memory(actor.thread.process), frame.back, frame.entry)
      .value_or(false);
}

gdbproto::PointChanges CallReturns::enter(const LoggedFunction& call, const Actor& actor) {
  if (!on_ || !call.sequence || !call.frame || actor.thread.object.is_null()) return {};
  const CallFrame& frame = *call.frame;
  pairing_.enter(call, is_called_anew(frame, actor), actor, Clock::now());
  return watches_.watch(frame.slot, frame.word_bytes, is_needed());
}

gdbproto::PointChanges CallReturns::tidy() {
  return on_ ? watches_.tidy(is_needed()) : gdbproto::PointChanges{};
}

Result<> CallReturns::take_out_idle(std::size_t but) {
  if (!on_ || vm_.guest().vcpu_count() == 1) return {};
  const auto idle = watches_.take_idle(is_needed(), but);
  return idle.empty() ? Result<>() : vm_.session().remove(idle);
}

std::optional<std::uint64_t> CallReturns::value(Va word, const Actor& actor) {
  if (!vm_.ram().is_local()) return {};  // what it would tell is not worth a round trip
  const auto value = read_as<std::uint64_t>(*model_.memory(actor.thread.process), word);
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<UserPlace> CallReturns::place_behind(Va word, const Actor& actor) {
  StoppedGuest& guest = vm_.guest();
  const unsigned vcpu = actor.scene.vcpu;
  const Va pc = guest.pc(vcpu);
  if (!guest.in_kernel(vcpu)) return UserPlace{pc, guest.sp(vcpu)};
  const CallFrame* const frame = pairing_.frame_at(actor.thread, word);
  if (frame == nullptr || pc != page_fault_entry_) return {};
  return UserPlace{Va{guest.reg_or_zero(vcpu, guest.machine().fault_address)},
                   word + frame->word_bytes};
}

bool CallReturns::leave(const Actor& actor, const UserPlace& place) {
  if (!pairing_.has_returned(actor.thread, place)) return false;
  StoppedGuest& guest = vm_.guest();
  const auto result = guest.reg_or_zero(actor.scene.vcpu, guest.machine().result);
  pairing_.leave(actor, place, result, Clock::now());
  return true;
}

void CallReturns::read(const Actor& actor, Va word, std::optional<std::uint64_t> value) {
  pairing_.read(actor, word, value);
  watches_.spoil(word);
}

std::optional<UserPlace> CallReturns::place_of_return(unsigned vcpu) {
  if (!on_ || pairing_.size() == 0) return {};
  const Va pc = vm_.guest().pc(vcpu);
  if (vm_.guest().in_kernel(vcpu) && pc != page_fault_entry_) return {};
  const auto place = user_place(vm_.guest(), model_, vcpu);
  return place && pairing_.may_have_returned(*place) ? place : std::nullopt;
}

Result<> CallReturns::disarm() { return vm_.session().remove(watches_.clear()); }

void CallReturns::finish() {
  if (!on_) return;
  pairing_.finish();
  spdlog::info("returns of calls: {} were left by longjmp or an exception, {} missed",
               pairing_.unwound(), pairing_.missed());
}

}  // namespace swat::daemon
