#include "daemon/return_log.hpp"

#include <spdlog/spdlog.h>

#include "osmodels/x86/exit_path.hpp"
#include "osmodels/x86/syscall_frame.hpp"

namespace swat::daemon {
namespace {

constexpr std::chrono::milliseconds kReapEvery{1000};

}  // namespace

Result<std::vector<Trap>> ReturnLog::begin(const Planner& planner) {
  ReturnPlan plan = SWAT_TRY(planner.returns(model_));
  spdlog::info("returns: {}{}{}", plan.kind->name(), plan.why.empty() ? "" : ", ", plan.why);
  pairing_.begin(SWAT_TRY(model_.processes()));
  on_ = true;
  by_watch_ = plan.traps.empty();
  find_exit_pcs();
  next_reap_ = Clock::now() + kReapEvery;
  return std::move(plan.traps);
}

// All entries' ways out are one kernel's: those that cannot be found are the others' too, mostly.
void ReturnLog::find_exit_pcs() {
  if (vm_.guest().machine().stops_before_access) return;  // the stack pointer tells enough
  const auto entries = model_.syscall_entries();
  if (!entries) return;
  for (const os::SyscallEntry& entry : *entries) {
    const auto points =
        os::x86::find_exit_points(model_.kernel_memory(), entry.address, 8 * model_.word_bytes());
    if (!points) continue;
    for (const os::x86::ExitPoint& exit : *points) {
      spdlog::debug("way out of {}: result loaded at {:x}", os::find_abi(entry.kind)->mnemonic,
                    exit.load.value);
      exit_pcs_.insert(exit.loaded);
      exit_pcs_.insert(exit.late.begin(), exit.late.end());
    }
  }
}

void ReturnLog::meet(const Actor& actor) {
  if (!on_ || !actor.selected) return;
  pairing_.meet(actor);
  const auto now = Clock::now();
  if (now < next_reap_) return;
  next_reap_ = now + kReapEvery;
  pairing_.reap([&](os::ProcessKey process) { return life_.is_alive(process); });
}

gdbproto::PointChanges ReturnLog::at_entry(const Actor& actor) {
  if (!on_ || !by_watch_ || !actor.selected) return {};
  is_watched_ = false;
  const auto word = model_.result_word(actor.scene.vcpu);
  if (!word || actor.thread.object.is_null()) return {};
  const auto is_idle = [&](const os::Thread& owner) { return !pairing_.is_in_call(owner); };
  auto changes = traps_.arm(*word, actor.thread, is_idle);
  if (!changes) return {};
  is_watched_ = true;
  return *changes;
}

void ReturnLog::enter(const LoggedCall& call, const Actor& actor) {
  if (!on_) return;
  pairing_.enter(call, actor, Clock::now());
  if (by_watch_ && !is_watched_) pairing_.miss(actor.thread);
}

// --- Watches

std::optional<ReturnLog::Watched> ReturnLog::watched(Va at) const {
  const Watched* found = traps_.find(at);
  return found != nullptr ? std::optional(*found) : std::nullopt;
}

bool ReturnLog::concerns(const Watched& watched, const Actor& actor) const {
  return watched.owner.object == actor.thread.object && pairing_.is_in_call(actor.thread);
}

gdbproto::PointChanges ReturnLog::after_idle_read(const Watched& watched, const Actor& actor) {
  if (watched.owner.object != actor.thread.object && pairing_.is_in_call(watched.owner)) return {};
  return {traps_.disarm(watched), {}};
}

std::optional<std::uint64_t> ReturnLog::read(const os::ResultWord& word, Va at) {
  std::uint64_t value = 0;
  const auto bytes = std::as_writable_bytes(std::span(&value, 1)).first(word.bytes);
  return model_.kernel_memory().read(at, bytes) ? std::optional(value) : std::nullopt;
}

std::optional<std::uint64_t> ReturnLog::value(const Watched& watched) {
  const os::ResultWord& word = watched.word;
  return read(word, word.value.is_null() ? word.at : word.value);
}

// While C code runs the stack pointer is below the saved registers, or on another stack.
bool ReturnLog::is_return(const Watched& watched, unsigned vcpu) {
  if (!vm_.guest().in_kernel(vcpu)) return false;
  if (exit_pcs_.contains(vm_.guest().pc(vcpu))) return true;
  const Va sp = vm_.guest().sp(vcpu);
  const Va behind = watched.word.at + watched.word.bytes;
  return watched.word.frame <= sp && sp <= behind;
}

void ReturnLog::leave(const Actor& actor, const Watched& watched,
                      std::optional<std::uint64_t> word) {
  if (model_.has_result_in_register(actor.scene.vcpu).value_or(false)) return leave(actor);
  if (!word && !vm_.session().running()) word = value(watched);
  if (!word) return pairing_.miss(actor.thread);
  leave_with(actor, *word);
}

void ReturnLog::leave(const Actor& actor) { leave_with(actor, in_register(actor.scene.vcpu)); }

void ReturnLog::leave_with(const Actor& actor, std::uint64_t result) {
  const auto pc = may_miss_peeks() ? user_pc(actor.scene.vcpu) : std::nullopt;
  if (pc && pairing_.is_interrupted(actor.thread, *pc)) {
    return pairing_.interrupt(actor, Clock::now());
  }
  pairing_.leave(actor, result, Clock::now());
}

std::uint64_t ReturnLog::in_register(unsigned vcpu) {
  return vm_.guest().reg_or_zero(vcpu, vm_.guest().machine().result);
}

void ReturnLog::leave_before_read(const Actor& actor, const Watched& watched) {
  const unsigned vcpu = actor.scene.vcpu;
  const auto is_loaded = model_.has_result_in_register(vcpu);
  const auto result = is_loaded.value_or(false) ? in_register(vcpu) : value(watched);
  if (!is_loaded || !result) return pairing_.miss(actor.thread);
  const auto pc = read(watched.word, watched.word.user_pc);
  pairing_.leave(actor, *result, Clock::now(), pc ? std::optional(Va{*pc}) : std::nullopt);
}

void ReturnLog::peeked(const Actor& actor, std::uint64_t word) {
  constexpr std::size_t kMostPeeks = 256;  // there are a handful
  const Va pc = vm_.guest().pc(actor.scene.vcpu);
  if (peek_pcs_.size() < kMostPeeks) peek_pcs_.insert(pc);
  pairing_.peeked(actor.thread, word);
}

bool ReturnLog::may_have_read(unsigned vcpu) {
  if (!on_ || !by_watch_ || !vm_.guest().in_kernel(vcpu)) return false;
  const Va pc = vm_.guest().pc(vcpu);
  return exit_pcs_.contains(pc) || peek_pcs_.contains(pc);
}

// By breakpoints there are none; and of vCPUs that hit at once, QEMU reports one.
bool ReturnLog::may_miss_peeks() const {
  return !vm_.session().running() && (!by_watch_ || vm_.session().threads().size() > 1);
}

std::optional<Va> ReturnLog::user_pc(unsigned vcpu) {
  const auto word = model_.result_word(vcpu);
  if (!word) return {};
  const auto pc = read(*word, word->user_pc);
  return pc ? std::optional(Va{*pc}) : std::nullopt;
}

std::optional<ReturnLog::Watched> ReturnLog::own_watch(unsigned vcpu) {
  const auto word = model_.result_word(vcpu);
  return word ? watched(word->at) : std::nullopt;
}

// --- Breakpoints

// The registers that are restored here are the user's, not those of an exception in the kernel.
bool ReturnLog::leaves_frame(unsigned vcpu) {
  const auto word = model_.result_word(vcpu);
  const Va sp = vm_.guest().sp(vcpu);
  return !word || (word->frame <= sp && sp <= word->frame + os::x86::SyscallFrame::kBytes);
}

bool ReturnLog::at_exit(const Actor& actor) {
  if (!on_ || !pairing_.is_in_call(actor.thread) || !leaves_frame(actor.scene.vcpu)) return false;
  leave(actor);
  return true;
}

void ReturnLog::finish() {
  if (on_) pairing_.finish();
}

Result<> ReturnLog::disarm() { return vm_.session().remove(traps_.clear()); }

}  // namespace swat::daemon
