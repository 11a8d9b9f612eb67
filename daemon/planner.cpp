#include "daemon/planner.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "osmodels/architecture.hpp"

namespace swat::daemon {
namespace {

using gdbproto::PointKind;

struct PointRow {
  PointKind kind;
  std::string_view name;
};
constexpr PointRow kPoints[] = {
    {PointKind::kSoftwareBreakpoint, "breakpoint"}, {PointKind::kHardwareBreakpoint, "breakpoint"},
    {PointKind::kWriteWatch, "write watch"},        {PointKind::kReadWatch, "read watch"},
    {PointKind::kAccessWatch, "access watch"},
};

std::string reason(std::string_view so_far, const TrapKind& kind, std::string_view why) {
  return fmt::format("{}{}not {}: {}", so_far, so_far.empty() ? "" : "; ", kind.name(), why);
}

}  // namespace

std::string_view point_name(PointKind kind) {
  const auto* const row = std::ranges::find(kPoints, kind, &PointRow::kind);
  return row == std::end(kPoints) ? "point" : row->name;
}

std::string EntryPlan::to_string() const {
  std::string points;
  if (!traps.empty()) {
    const std::string_view name = point_name(traps.front().point.kind);
    points = fmt::format("{} {}{}", traps.size(), name,
                         traps.size() == 1 ? "" : (name.ends_with('h') ? "es" : "s"));
  }
  return fmt::format("{}, {}, expected: {}{}{}{}", kind->name(), points, cost.to_string(),
                     is_silent ? ", as the stops are silent" : "", why.empty() ? "" : "; ", why);
}

bool EntryPlan::fall_back(std::string_view failure) {
  if (instead.empty()) return false;
  EntryPlan next = std::move(instead.front());
  next.instead.assign(std::make_move_iterator(instead.begin() + 1),
                      std::make_move_iterator(instead.end()));
  next.why = reason(why, *kind, failure);
  *this = std::move(next);
  return true;
}

std::string Planner::objection(const TrapKind& kind, const Request& request) const {
  if (&kind != &table_kind() || chosen_ == &kind) return {};
  // It would miss what the kernel refuses before it comes to a handler. Where a watch on the entry
  // itself cannot be had, the breakpoint in its place costs too much for that.
  const bool has_entry_watch =
      watch_kind().entry(request.guest, request.model, request.entry, request.demand).has_value();
  if (request.demand.all && has_entry_watch) return "all syscalls are asked for";
  // Traps on 32-bit handlers cost something even when there is no 32-bit program.
  if (request.native != nullptr && request.native != &kind) return "64-bit callers are not either";
  return {};
}

Result<EntryPlan> Planner::consider(const TrapKind& kind, const Request& request) const {
  EntryPlan plan{request.entry, &kind, {}, {}, {}, {}};
  plan.traps = SWAT_TRY(kind.entry(request.guest, request.model, request.entry, request.demand));
  if (std::string no = objection(kind, request); !no.empty()) {
    return fail(Errc::kUnsupported, std::move(no));
  }
  plan.cost =
      expected_cost(plan.traps, request.demand, *os::find_abi(request.entry.kind), request.costs);
  return plan;
}

// What the user, or the way that 64-bit callers are seen, has decided comes first; then the
// cheapest.
Result<EntryPlan> Planner::plan_entry(const Request& request) const {
  std::vector<EntryPlan> plans;
  std::string why;
  for (const TrapKind* kind : kinds_) {
    auto plan = consider(*kind, request);
    if (plan) {
      plans.push_back(*std::move(plan));
    } else {
      why = reason(why, *kind, plan.error().what);
    }
  }
  if (plans.empty()) {
    return fail(Errc::kUnsupported, "no trap for this entry: " + why, request.entry.address.value);
  }
  const auto is_decided = [&](const EntryPlan& plan) {
    return plan.kind == chosen_ || (plan.kind == &table_kind() && request.native == plan.kind);
  };
  std::ranges::stable_sort(plans, [&](const EntryPlan& a, const EntryPlan& b) {
    if (is_decided(a) != is_decided(b)) return is_decided(a);
    return a.cost.share() < b.cost.share();
  });
  EntryPlan best = std::move(plans.front());
  for (auto plan = plans.begin() + 1; plan != plans.end(); ++plan) {
    if (!is_decided(best)) why = reason(why, *plan->kind, plan->cost.to_string());
    best.instead.push_back(std::move(*plan));
  }
  best.why = (is_measured_ ? "" : "never measured on KVM; ") + why;
  return best;
}

// KVM's watchpoints are the CPU's four debug registers: none covers a span of slots. Under TCG both
// kinds of breakpoints are the same.
bool Planner::is_possible(const TrapKind& kind, bool is_kvm) {
  if (is_kvm) return &kind == &break_kind() || &kind == &hardware_kind();
  return &kind != &hardware_kind();
}

Result<Planner> Planner::make(const Vm& vm, std::string_view only) {
  Planner planner = SWAT_TRY(for_accelerator(vm.is_kvm(), only, vm.qemu_version()));
  if (vm.can_run_silently()) planner.allow_silent_runs();
  return planner;
}

Result<Planner> Planner::for_accelerator(bool is_kvm, std::string_view only,
                                         std::string_view qemu_version) {
  Planner planner;
  planner.costs_ = is_kvm ? StopCosts::of_kvm() : StopCosts::of_qemu(qemu_version);
  planner.is_measured_ = !is_kvm;
  if (only == kExecLog && !is_kvm) {
    planner.kinds_ = {&watch_kind(), &break_kind()};
    planner.exec_log_ = true;
    return planner;
  }
  for (const TrapKind* kind : trap_kinds()) {
    if (!is_possible(*kind, is_kvm)) continue;
    // Every kind may serve an entry that the chosen one cannot; the table only when it is chosen.
    const bool is_chosen = only == kind->name();
    if (is_chosen) planner.chosen_ = kind;
    if (only.empty() || is_chosen || kind != &table_kind()) planner.kinds_.push_back(kind);
  }
  if (!only.empty() && planner.chosen_ == nullptr) {
    return fail(Errc::kUsage, "no kind of trap called '" + std::string(only) + "' works here");
  }
  // The reference, and complete: nothing stands in for it.
  if (planner.chosen_ == &break_kind()) planner.kinds_ = {&break_kind()};
  for (const TrapKind* kind : planner.kinds_) {
    if (planner.imports_ == nullptr && kind->imports({Va{0}, Va{8}})) planner.imports_ = kind;
  }
  return planner;
}

bool Planner::may_run_silently(const Selection& selection) const {
  const bool watches_calls = imports_ != nullptr && !selection.calls.is_none();
  return allows_silent_runs_ && !exec_log_ && !watches_calls && !selection.watches_returns;
}

Result<std::vector<EntryPlan>> Planner::entries(os::GuestView& guest, os::OsModel& model,
                                                const Selection& selection) const {
  if (may_run_silently(selection)) {
    auto plans = SWAT_TRY(entries_at(StopCosts::of_silent_runs(), guest, model, selection));
    const auto only_breaks = [](const EntryPlan& plan) {
      return std::ranges::all_of(plan.traps, &Trap::is_breakpoint);
    };
    if (std::ranges::all_of(plans, only_breaks)) {
      for (EntryPlan& plan : plans) plan.is_silent = true;
      return plans;
    }
  }
  return entries_at(costs_, guest, model, selection);
}

Result<std::vector<EntryPlan>> Planner::entries_at(const StopCosts& costs, os::GuestView& guest,
                                                   os::OsModel& model,
                                                   const Selection& selection) const {
  std::vector<EntryPlan> plans;
  const TrapKind* native = nullptr;
  for (const os::SyscallEntry& entry : SWAT_TRY(model.syscall_entries())) {
    const auto* abi = os::find_abi(entry.kind);
    if (abi == nullptr) return fail(Errc::kUnsupported, "an entry without an ABI");
    const bool is_native = abi->word == os::machine_of(guest.architecture()).word_bytes;
    plans.push_back(SWAT_TRY(plan_entry(
        {guest, model, entry, demand_of(selection, *abi), is_native ? nullptr : native, costs})));
    if (is_native) native = plans.back().kind;
  }
  return plans;
}

// The first kind that can, in the order of preference: what it costs is the same for every call.
Result<ReturnPlan> Planner::returns(os::OsModel& model) const {
  ReturnPlan plan;
  for (const TrapKind* kind : kinds_) {
    auto traps = kind->returns(model);
    if (traps) {
      plan.kind = kind;
      plan.traps = *std::move(traps);
      return plan;
    }
    plan.why = reason(plan.why, *kind, traps.error().what);
  }
  return fail(Errc::kUnsupported, "no trap for returns: " + plan.why);
}

}  // namespace swat::daemon
