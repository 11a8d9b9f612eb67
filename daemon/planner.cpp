#include "daemon/planner.hpp"

namespace swat::daemon {
namespace {

Result<EntryPlan> plan_entry(const std::vector<const TrapKind*>& kinds, os::GuestView& guest,
                             os::OsModel& model, const os::SyscallEntry& entry) {
  EntryPlan plan{entry, nullptr, {}, {}};
  for (const TrapKind* kind : kinds) {
    auto traps = kind->entry(guest, model, entry);
    if (traps) {
      plan.kind = kind;
      plan.traps = *std::move(traps);
      return plan;
    }
    if (!plan.why.empty()) plan.why += "; ";
    plan.why += "not " + std::string(kind->name()) + ": " + traps.error().what;
  }
  return fail(Errc::kUnsupported, "no trap for this syscall entry: " + plan.why,
              entry.address.value);
}

}  // namespace

Result<Planner> Planner::for_accelerator(bool is_kvm, std::string_view only) {
  Planner planner;
  if (only == kExecLog && !is_kvm) {
    planner.kinds_.push_back(&watch_kind());
    planner.exec_log_ = true;
    return planner;
  }
  for (const TrapKind* kind : trap_kinds()) {
    // KVM's watchpoints are the CPU's four debug registers: none covers a span of slots.
    const bool possible = !is_kvm || kind == &break_kind();
    if (!possible || (!only.empty() && only != kind->name())) continue;
    planner.kinds_.push_back(kind);
    if (planner.imports_ == nullptr && kind->imports({Va{0}, Va{8}})) planner.imports_ = kind;
  }
  if (planner.kinds_.empty()) {
    return fail(Errc::kUsage, "no kind of trap called '" + std::string(only) + "' works here");
  }
  return planner;
}

Result<std::vector<EntryPlan>> Planner::entries(os::GuestView& guest, os::OsModel& model) const {
  // Every kind may serve an entry that the preferred one cannot.
  std::vector<const TrapKind*> kinds = kinds_;
  if (kinds.back() != &break_kind()) kinds.push_back(&break_kind());
  std::vector<EntryPlan> plans;
  for (const os::SyscallEntry& entry : SWAT_TRY(model.syscall_entries())) {
    plans.push_back(SWAT_TRY(plan_entry(kinds, guest, model, entry)));
  }
  return plans;
}

}  // namespace swat::daemon
