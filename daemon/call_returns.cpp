#include "daemon/call_returns.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "daemon/call_resolver.hpp"
#include "osmodels/syscall_decoder.hpp"

namespace swat::daemon {
namespace {

constexpr std::chrono::milliseconds kReapEvery{1000};

}  // namespace

bool returns_through_stubs(os::OsModel& model) {
  const auto entries = model.syscall_entries();
  return entries && std::ranges::any_of(*entries, [](const os::SyscallEntry& entry) {
           const os::SyscallAbi* const abi = os::find_abi(entry.kind);
           return abi != nullptr && abi->return_slot.has_value();
         });
}

Result<> CallReturns::begin(const Planner& planner, std::optional<Va> page_fault_entry,
                            bool of_functions) {
  if (planner.uses_exec_log()) {
    return fail(Errc::kUsage, "--returns: the execution log does not tell results");
  }
  const os::Architecture architecture = vm_.guest().architecture();
  const bool is_x86 = architecture == os::Architecture::kX86_64 ||
                      (architecture == os::Architecture::kI386 && !of_functions);
  if (vm_.is_kvm() || !is_x86) {
    return fail(Errc::kUnsupported,
                "returns through the stack need TCG, and those of functions an x86_64 guest: they "
                "are seen by read watches");
  }
  on_ = true;
  watches_.keep_idle(vm_.guest().vcpu_count() == 1 ? 1 : 0);
  page_fault_entry_ = page_fault_entry;
  next_reap_ = Clock::now() + kReapEvery;
  spdlog::info("returns: a read watch on each return address, of {} calls at once at most",
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

gdbproto::PointChanges CallReturns::enter(const LoggedCall& call, const Actor& actor) {
  if (!on_) return {};
  const bool never = call.effect == os::Effect::kLeaves || call.effect == os::Effect::kExits;
  if (never || !call.frame || actor.thread.object.is_null()) {
    const auto outcome = never ? ReturnEvent::Outcome::kNever : ReturnEvent::Outcome::kMissed;
    log_.write(actor.scene, call.end(outcome));
    return {};
  }
  pairing_.enter(call, actor, Clock::now());
  return watches_.watch(call.frame->slot, call.frame->word_bytes, is_needed());
}

void CallReturns::complete(const LoggedCall& call, const Actor& actor, ReturnEvent& event) {
  os::SyscallDecoder* const decoder = model_.syscalls();
  const os::Prototype* const takes = decoder == nullptr ? nullptr : decoder->prototype(call.name);
  if (takes == nullptr || !event.result) return;
  const auto word = static_cast<std::uint64_t>(*event.result);
  const std::uint64_t result = decoder->result_of(takes->result, word);
  event.result = static_cast<std::int64_t>(result);
  if (result != 0) event.error = decoder->result_name(takes->result, result);
  if (call.prototype == nullptr || vm_.session().running()) return;
  event.written = decoder->at_return(
      {actor.thread.process, call.abi->word, *call.prototype, call.words}, result);
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
  const auto add = [&](const LoggedCall& call, ReturnEvent& event) {
    complete(call, actor, event);
  };
  pairing_.leave(actor, place, result, Clock::now(), add);
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

bool CallReturns::may_have_popped(unsigned vcpu) {
  if (!on_ || watches_.size() == 0) return false;
  const auto place = user_place(vm_.guest(), model_, vcpu);
  const auto taken = place ? watches_.taken_below(place->sp) : std::vector<gdbproto::Point>{};
  if (taken.empty()) return false;
  const auto thread = model_.current(vcpu);
  if (!thread) return true;
  const auto memory = model_.memory(thread->process);
  return std::ranges::any_of(taken, [&](const gdbproto::Point& point) {
    std::uint64_t word = 0;
    const auto bytes = std::as_writable_bytes(std::span(&word, 1));
    return memory->read(point.at, bytes.first(point.size_bytes)) && Va{word} == place->pc;
  });
}

Result<> CallReturns::disarm() { return vm_.session().remove(watches_.clear()); }

void CallReturns::finish() {
  if (!on_) return;
  pairing_.finish();
  spdlog::info("returns: {} calls were left by longjmp or an exception, {} missed",
               pairing_.unwound(), pairing_.missed());
}

}  // namespace swat::daemon
