// What every traced process has mapped, kept current: read from the kernel's own structures when a
// process is first seen, and again after each of its syscalls that maps, unmaps or execs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "daemon/image_cache.hpp"
#include "osmodels/model.hpp"

namespace swat::daemon {

struct LoadedModule {
  using Run = std::pair<std::size_t, std::size_t>;  // [first, last] indexes into image->slots

  os::Module module;
  std::shared_ptr<const Image> image;  // null until its headers are paged in
  bool is_image = true;                // false: it was read, and is none
  // Words of the slots as last read: which slots lead to an address. Values that slots once held
  // stay: a lazy slot leads to its own PLT stub first and to the function later.
  std::unordered_multimap<std::uint64_t, std::size_t> slots_by_target;
  std::optional<std::vector<Run>> wanted_runs = {};  // nullopt: all slots are wanted

  [[nodiscard]] Va slot_address(std::size_t slot) const {
    return module.base + image->slots[slot].offset;
  }
  // Of the slots that are wanted; needs `image`.
  [[nodiscard]] const std::vector<Run>& runs() const {
    return wanted_runs ? *wanted_runs : image->slot_runs;
  }
  // Address spans of these runs, one watch each.
  [[nodiscard]] std::vector<VaRange> slot_ranges() const;
};

// One address space.
struct ProcessView {
  os::Process process;
  std::vector<LoadedModule> modules;  // ascending by base
  std::unique_ptr<VirtualMemory> memory;
  bool has_pending = false;                      // a module, or its headers, may not have shown yet
  unsigned tries = 0;                            // reads of pending modules so far
  std::unordered_set<std::uint32_t> remapping;   // threads that are in a syscall that maps
  std::unordered_set<os::ProcessKey> processes;  // seen in it: more than one after vfork
  std::uint64_t generation = 0;  // another number whenever modules, or their images, are others

  [[nodiscard]] const LoadedModule* module_at(Va at) const;
  [[nodiscard]] bool has_module_in(const VaRange& range) const;
};

class ProcessTable {
 public:
  // `model` outlives this. `files`: of the guest, on this host; null for none.
  explicit ProcessTable(os::OsModel& model, std::shared_ptr<const RootFolder> files = nullptr)
      : model_(model), images_(std::move(files)) {}

  struct Change {
    bool is_new = false;  // not seen before, or not in this address space
    std::vector<os::Module> loaded;
    std::vector<os::Module> unloaded;
    bool slots_changed = false;  // slot_ranges() of some module are new or gone
  };

  // The view of a process, or null: kernel threads, processes never seen.
  [[nodiscard]] ProcessView* find(const os::Process& process);
  // Whether `process` must be refreshed before the guest runs on.
  [[nodiscard]] bool is_stale(const os::Thread& thread);
  // Reads the mappings anew. The guest is stopped.
  [[nodiscard]] Result<Change> refresh(const os::Thread& thread);
  // A thread has entered a syscall that will change its mappings.
  void will_remap(const os::Thread& thread);
  // A thread has entered a syscall that makes a process, a thread or an address space.
  void will_spawn(const os::Thread& thread);
  // The process is gone. True when its address space went with it.
  [[nodiscard]] bool forget(Va memory_object, os::ProcessKey process);

  [[nodiscard]] const std::unordered_map<std::uint64_t, std::unique_ptr<ProcessView>>& all() const {
    return views_;
  }

  // Another number after anything above has changed.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  // The address space whose thread has last spawned something, told once.
  [[nodiscard]] std::optional<Va> take_spawner() { return std::exchange(spawner_, std::nullopt); }

 private:
  [[nodiscard]] bool is_due(ProcessView& view);
  [[nodiscard]] bool is_shared(const ProcessView& view, const os::Process& process);
  [[nodiscard]] bool read_pending(ProcessView& view, const std::vector<os::Mapping>& mappings);

  os::OsModel& model_;
  ImageCache images_;
  std::uint64_t changes_ = 0;
  std::optional<Va> spawner_;
  std::unordered_map<std::uint64_t, std::unique_ptr<ProcessView>> views_;  // by memory object
};

}  // namespace swat::daemon
