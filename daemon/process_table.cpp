#include "daemon/process_table.hpp"

#include <algorithm>
#include <bit>

namespace swat::daemon {
namespace {

// A module's range grows and shrinks while ld.so maps its segments; it is still the same module.
bool same_place(const os::Module& a, const os::Module& b) {
  return a.base == b.base && a.path == b.path && a.file_id == b.file_id;
}

const os::Module* find_same(const std::vector<os::Module>& modules, const os::Module& wanted) {
  const auto found = std::find_if(modules.begin(), modules.end(), [&](const os::Module& module) {
    return same_place(module, wanted);
  });
  return found == modules.end() ? nullptr : &*found;
}

}  // namespace

std::vector<VaRange> LoadedModule::slot_ranges() const {
  std::vector<VaRange> ranges;
  if (image == nullptr) return ranges;
  for (const auto& [first, last] : runs()) {
    ranges.push_back({slot_address(first), slot_address(last) + image->word_bytes});
  }
  return ranges;
}

const LoadedModule* ProcessView::module_at(Va at) const {
  const auto after =
      std::upper_bound(modules.begin(), modules.end(), at,
                       [](Va address, const LoadedModule& m) { return address < m.module.base; });
  if (after == modules.begin()) return nullptr;
  const LoadedModule& candidate = *std::prev(after);
  return candidate.module.range.contains(at) ? &candidate : nullptr;
}

bool ProcessView::has_module_in(const VaRange& range) const {
  return std::any_of(modules.begin(), modules.end(), [&](const LoadedModule& loaded) {
    return loaded.module.range.overlaps(range);
  });
}

ProcessView* ProcessTable::find(const os::Process& process) {
  const auto found = views_.find(process.memory_object.value);
  return found == views_.end() ? nullptr : found->second.get();
}

// Every event at first, then ever more rarely: headers that nobody touches never get paged in.
bool ProcessTable::is_due(ProcessView& view) {
  constexpr unsigned kEagerTries = 64;
  if (!view.has_pending) return false;
  ++view.tries;
  return view.tries < kEagerTries || std::has_single_bit(view.tries);
}

bool ProcessTable::is_stale(const os::Thread& thread) {
  if (thread.process.memory_object.is_null()) return false;
  ProcessView* view = find(thread.process);
  if (view == nullptr || !view->remapping.empty()) return true;
  // Another process with this address space: the kernel has reused the object, or they share it.
  return !view->processes.contains(thread.process.key) || is_due(*view);
}

void ProcessTable::will_remap(const os::Thread& thread) {
  ++changes_;
  if (ProcessView* view = find(thread.process)) view->remapping.insert(thread.tid);
}

void ProcessTable::will_spawn(const os::Thread& thread) {
  ++changes_;
  spawner_ = thread.process.memory_object;
}

Result<ProcessTable::Change> ProcessTable::refresh(const os::Thread& thread) {
  const os::Process& process = thread.process;
  const std::vector<os::Mapping> mappings = SWAT_TRY(model_.mappings(process));
  const std::vector<os::Module> modules = os::modules_of(mappings);
  ++changes_;
  auto& slot = views_[process.memory_object.value];
  if (slot == nullptr) slot = std::make_unique<ProcessView>();
  ProcessView& view = *slot;
  Change change;
  if (!view.processes.empty() && !view.processes.contains(process.key) &&
      !is_shared(view, process)) {
    // What lay here belonged to processes that are gone: nothing of it is this one's.
    change.slots_changed = !view.modules.empty();
    view.modules.clear();
    view.processes.clear();
  }
  change.is_new = view.processes.insert(process.key).second;
  view.process = process;
  view.memory = model_.memory(process);
  const bool is_settled = view.remapping.erase(thread.tid) == 0;
  if (!is_settled && model_.sees_touched_pages_only()) view.tries = 0;

  std::vector<LoadedModule> kept;
  bool differs = view.has_pending;  // in anything but slots
  for (LoadedModule& old : view.modules) {
    if (const os::Module* now = find_same(modules, old.module)) {
      differs = differs || old.module.range != now->range;
      old.module.range = now->range;
      kept.push_back(std::move(old));
    } else {
      change.slots_changed = change.slots_changed || old.image != nullptr;
      change.unloaded.push_back(std::move(old.module));
    }
  }
  for (const os::Module& module : modules) {
    const bool known = std::any_of(kept.begin(), kept.end(), [&](const LoadedModule& old) {
      return same_place(old.module, module);
    });
    if (known) continue;
    change.loaded.push_back(module);
    kept.push_back({module, nullptr, true, {}});
    view.tries = 0;
  }
  std::sort(kept.begin(), kept.end(), [](const LoadedModule& a, const LoadedModule& b) {
    return a.module.base < b.module.base;
  });
  view.modules = std::move(kept);
  change.slots_changed = read_pending(view, mappings) || change.slots_changed;
  differs = differs || change.slots_changed || !change.loaded.empty() || !change.unloaded.empty();
  if (differs) view.generation = changes_;
  return change;
}

// Whether some other process still has this address space (vfork), or the kernel has merely used
// the same memory for it again.
bool ProcessTable::is_shared(const ProcessView& view, const os::Process& process) {
  const auto processes = model_.processes();
  if (!processes) return false;
  return std::any_of(processes->begin(), processes->end(), [&](const os::Process& other) {
    return other.key != process.key && other.memory_object == process.memory_object &&
           view.processes.contains(other.key);
  });
}

// True when a module's slots have become known.
bool ProcessTable::read_pending(ProcessView& view, const std::vector<os::Mapping>& mappings) {
  bool found = false;
  view.has_pending = model_.sees_touched_pages_only();
  std::unique_ptr<VirtualMemory> with_files;  // made where it is needed
  for (LoadedModule& loaded : view.modules) {
    if (loaded.image != nullptr || !loaded.is_image) continue;
    auto image = images_.get(*view.memory, loaded.module);
    if (!image && image.error().code == Errc::kFault) {
      if (with_files == nullptr) with_files = model_.memory_and_files(view.process);
      const auto laid_out = is_laid_out(*with_files, loaded.module, mappings);
      if (laid_out && *laid_out) image = images_.get(*with_files, loaded.module);
    }
    if (image) {
      loaded.image = *std::move(image);
      found = true;
    } else if (image.error().code == Errc::kFault) {
      view.has_pending = true;
    } else {
      loaded.is_image = false;
    }
  }
  return found;
}

bool ProcessTable::forget(Va memory_object, os::ProcessKey process) {
  const auto found = views_.find(memory_object.value);
  if (found == views_.end()) return false;
  found->second->processes.erase(process);
  if (!found->second->processes.empty()) return false;
  views_.erase(found);
  ++changes_;
  return true;
}

}  // namespace swat::daemon
