#include "daemon/calibration.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace swat::daemon {
namespace {

std::string_view mnemonic(const EntryPlan& plan) { return os::find_abi(plan.entry.kind)->mnemonic; }

bool breaks_at(const EntryPlan& plan, Va address) {
  return std::ranges::any_of(plan.traps, [&](const Trap& trap) {
    return trap.is_breakpoint() && trap.point.at == address;
  });
}

// Whether the plan's own traps notice a syscall of this number.
bool notices(const EntryPlan& plan, std::uint32_t number) {
  return std::ranges::any_of(plan.traps, [&](const Trap& trap) {
    const auto* dispatch = std::get_if<DispatchTrap>(&trap.what);
    if (dispatch == nullptr) return true;
    if (trap.is_breakpoint() || !dispatch->dispatch->table) return false;
    const Va slot = dispatch->dispatch->slot(number).start;
    return VaRange{trap.point.at, trap.point.at + trap.point.size_bytes}.contains(slot);
  });
}

}  // namespace

Result<> Calibration::begin(std::vector<EntryPlan> plans, bool may_break, Clock::time_point now) {
  end_ = now + kLength;
  for (EntryPlan& plan : plans) {
    Subject subject{std::move(plan), {}, {}, {}};
    const Va address = subject.plan.entry.address;
    if (may_break && !breaks_at(subject.plan, address)) {
      subject.reference =
          Trap{{gdbproto::PointKind::kSoftwareBreakpoint, address, 1}, ProofTrap{subjects_.size()}};
      SWAT_CHECK(traps_.add({*subject.reference}));
      ++under_proof_;
    }
    subjects_.push_back(std::move(subject));
  }
  update_entries();
  return {};
}

Result<> Calibration::entered(const ProofTrap& what, const Actor& actor, std::uint32_t number) {
  if (what.subject >= subjects_.size() || actor.thread.tid == 0) return {};
  Subject& subject = subjects_[what.subject];
  if (!subject.reference) return {};
  if (!subject.proof.is_complete() && expect(subject, number)) {
    subject.proof.entered(actor.thread.tid, number);
  }
  if (subject.proof.has_failed()) return fall_back(subject);
  return subject.proof.is_complete() ? conclude(subject) : Result<>{};
}

const os::SyscallAbi& Calibration::abi_of(const ProofTrap& what) const {
  return *os::find_abi(subjects_.at(what.subject).plan.entry.kind);
}

void Calibration::noticed(const Actor& actor, std::uint32_t number) {
  if (is_over()) return;
  for (Subject& subject : subjects_) subject.proof.noticed(actor.thread.tid, number);
}

// So that it is noticed, asked for or not. kNotFound: a syscall that has no handler.
Result<> Calibration::expect(Subject& subject, std::uint32_t number) {
  if (notices(subject.plan, number)) return {};
  const SyscallDemand demand{false, {number}};
  const auto traps = SWAT_TRY(subject.plan.kind->entry(guest_, model_, subject.plan.entry, demand));
  SWAT_CHECK(traps_.add(traps));
  subject.extra.insert(subject.extra.end(), traps.begin(), traps.end());
  update_entries();
  return {};
}

Result<> Calibration::fall_back(Subject& subject) {
  const std::string failure = subject.proof.to_string();
  log_.write({},
             GapEvent{subject.proof.missed(), fmt::format("{} by {}: {}", mnemonic(subject.plan),
                                                          subject.plan.kind->name(), failure)});
  drop(subject.plan.traps);
  drop(std::exchange(subject.extra, {}));
  subject.proof = {};
  if (!subject.plan.fall_back(failure)) {
    return fail(Errc::kUnsupported,
                fmt::format("no trap for {}: {}", mnemonic(subject.plan), failure));
  }
  spdlog::warn("{} entry: {}", mnemonic(subject.plan), subject.plan.to_string());
  SWAT_CHECK(traps_.add(subject.plan.traps));
  update_entries();
  if (breaks_at(subject.plan, subject.plan.entry.address)) SWAT_CHECK(conclude(subject));
  return traps_.flush_removals();
}

// Watches go at the next stop that a trap of ours reports (trap_set.hpp); breakpoints can at once.
Result<> Calibration::conclude(Subject& subject) {
  if (!subject.reference) return {};
  spdlog::info("{} entry, {}: {}", mnemonic(subject.plan), subject.plan.kind->name(),
               breaks_at(subject.plan, subject.plan.entry.address) ? "needs no proof"
                                                                   : subject.proof.to_string());
  traps_.drop(subject.reference->point);
  subject.reference.reset();
  const auto watches = std::ranges::stable_partition(subject.extra, &Trap::is_breakpoint);
  std::vector<Trap> later(watches.begin(), watches.end());
  subject.extra.erase(watches.begin(), watches.end());
  drop(std::exchange(subject.extra, {}));
  SWAT_CHECK(traps_.flush_removals());
  drop(later);
  --under_proof_;
  update_entries();
  return {};
}

Result<> Calibration::end() {
  for (Subject& subject : subjects_) SWAT_CHECK(conclude(subject));
  return {};
}

std::vector<Trap> Calibration::armed() const {
  std::vector<Trap> traps;
  for (const Subject& subject : subjects_) {
    traps.insert(traps.end(), subject.plan.traps.begin(), subject.plan.traps.end());
    traps.insert(traps.end(), subject.extra.begin(), subject.extra.end());
  }
  return traps;
}

void Calibration::drop(const std::vector<Trap>& traps) {
  for (const Trap& trap : traps) traps_.drop(trap.point);
}

}  // namespace swat::daemon
