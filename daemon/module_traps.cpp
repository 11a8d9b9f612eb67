#include "daemon/module_traps.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "daemon/slot_selection.hpp"

namespace swat::daemon {

Result<> ModuleTraps::refresh(const os::Thread& thread, const EventLog::Scene& scene,
                              bool announce) {
  const auto change = SWAT_TRY(processes_.refresh(thread));
  if (announce) {
    began_ = true;
    for (const os::Module& module : change.unloaded) log_.write(scene, ModuleEvent{false, module});
    for (const os::Module& module : change.loaded) log_.write(scene, ModuleEvent{true, module});
  }
  if (change.is_new) leave_old_spaces(thread.process);
  ProcessView* view = processes_.find(thread.process);
  if (view == nullptr || (!change.slots_changed && !change.is_new)) return {};
  return arm(*view);
}

// execve gives a process another address space; nothing else takes it out of the one before.
void ModuleTraps::leave_old_spaces(const os::Process& process) {
  std::vector<Va> left;
  for (const auto& [object, view] : processes_.all()) {
    if (Va{object} != process.memory_object && view->processes.contains(process.key)) {
      left.push_back(Va{object});
    }
  }
  for (const Va object : left) forget(object, process.key);
}

void ModuleTraps::select_slots(ProcessView& view) const {
  if (imports_ == nullptr || calls_.is_all()) return;
  for (LoadedModule& loaded : view.modules) {
    if (loaded.image != nullptr) loaded.wanted_runs = wanted_runs(view, loaded, calls_);
  }
}

Result<> ModuleTraps::arm(ProcessView& view) {
  select_slots(view);
  std::vector<Trap> traps = functions_of(view);
  if (!traps.empty() && traps_.breakpoints_with(traps) > breaks_.budget)
    refuse(std::exchange(traps, {}));
  add_slots(view, traps);
  const auto added = traps_.add(traps);
  if (!added && added.error().code == Errc::kUnsupported) {
    if (!std::exchange(told_full_, true)) {
      spdlog::warn("{}: calls of further modules are not logged", added.error().what);
      log_.write({}, GapEvent{0, "calls: " + added.error().what});
    }
    return {};
  }
  SWAT_CHECK(added);
  auto& armed = armed_[view.process.memory_object.value];
  for (const Trap& old : armed) traps_.drop(old.point);
  armed = std::move(traps);
  return {};
}

void ModuleTraps::add_slots(const ProcessView& view, std::vector<Trap>& traps) const {
  if (imports_ == nullptr) return;
  for (const LoadedModule& loaded : view.modules) {
    if (!may_trap(loaded)) continue;
    for (const VaRange& slots : loaded.slot_ranges()) {
      if (auto more = imports_->imports(slots))
        traps.insert(traps.end(), more->begin(), more->end());
    }
  }
}

std::vector<Trap> ModuleTraps::functions_of(const ProcessView& view) const {
  std::vector<Trap> traps;
  if (breaks_.functions.empty()) return traps;
  for (const LoadedModule& loaded : view.modules) {
    if (may_trap(loaded)) add_functions(loaded, traps);
  }
  return traps;
}

void ModuleTraps::refuse(const std::vector<Trap>& functions) {
  if (!began_) {
    refused_.insert(refused_.end(), functions.begin(), functions.end());
  } else if (!std::exchange(told_budget_, true)) {
    const std::string what =
        fmt::format("--break: {} functions more, and the budget is {} breakpoints",
                    functions.size(), breaks_.budget);
    spdlog::warn("{}: they are not logged", what);
    log_.write({}, GapEvent{0, what});
  }
}

Result<> ModuleTraps::within_budget() const {
  if (refused_.empty()) return {};
  return fail(Errc::kUsage,
              fmt::format("--break asks for {} breakpoints, and QEMU looks through all of them at "
                          "every jump between pages of the whole guest: it would crawl, also where "
                          "none is hit. --calls with the same names watches import slots instead, "
                          "at a cost that does not grow; --break-budget N (now {}) allows more",
                          traps_.breakpoints_with(refused_), breaks_.budget));
}

void ModuleTraps::add_functions(const LoadedModule& loaded, std::vector<Trap>& traps) const {
  const std::string module(loaded.module.name());
  for (const FunctionPattern& pattern : breaks_.functions) {
    if (!pattern.matches_module(module)) continue;
    for (const ImageExport& e : loaded.image->exports) {
      if (e.is_ifunc || !pattern.matches_function(e.name)) continue;
      const FunctionTrap what{module, e.name, loaded.image->word_bytes * 8};
      auto more = break_kind().function(loaded.module.base + e.offset, what);
      if (more) traps.insert(traps.end(), more->begin(), more->end());
    }
  }
}

void ModuleTraps::forget(Va memory_object, os::ProcessKey process) {
  if (!processes_.forget(memory_object, process)) return;
  const auto armed = armed_.extract(memory_object.value);
  if (armed.empty()) return;
  for (const Trap& trap : armed.mapped()) traps_.drop(trap.point);
}

}  // namespace swat::daemon
