// The address spaces of which the execution log tells, and whose calls are wanted, kept in step
// with what processes have mapped: what the filter asks of them, and what the functions in them are
// called.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "daemon/exec_log_filter.hpp"
#include "daemon/function_names.hpp"
#include "daemon/process_table.hpp"

namespace swat::daemon {

struct LoggedSpace {
  const ProcessView* view = nullptr;
  Pa root;
  std::uint64_t generation = 0;  // of the view that `functions` is made of
  bool settled = true;           // no thread is mapping anything
  std::unique_ptr<ProcessFunctions> functions;
  std::unordered_set<std::uint32_t> tids;  // seen in it at stops
};

class LoggedSpaces {
 public:
  // All outlive this.
  LoggedSpaces(os::OsModel& model, ProcessTable& processes, const CallFilter& wanted)
      : model_(model), processes_(processes), wanted_(wanted) {}

  // After processes have been read anew, and before the guest runs on. The guest may stand still or
  // not: no memory of it is read.
  void sync(ExecLogFilter& filter);
  // Looks for IFUNCs that have been bound since. The guest stands still.
  void read_slots(LoggedSpace& space, ExecLogFilter& filter);

  // Null: none that has been met.
  [[nodiscard]] LoggedSpace* at(Pa root);
  // Of some the modules may be others by now.
  [[nodiscard]] bool is_unsettled() const { return unsettled_ > 0; }
  [[nodiscard]] std::unique_ptr<VirtualMemory> memory(const LoggedSpace& space) const {
    return model_.memory(space.view->process);
  }

 private:
  void update(LoggedSpace& space, const ProcessView& view, ExecLogFilter& filter);
  void drop_gone(ExecLogFilter& filter);
  [[nodiscard]] bool owns(std::uint64_t object, Pa root) const;
  void disown(std::uint64_t object, Pa root, ExecLogFilter& filter);
  [[nodiscard]] std::shared_ptr<const ImageFunctions> functions_of(const LoadedModule& loaded);

  os::OsModel& model_;
  ProcessTable& processes_;
  const CallFilter& wanted_;
  std::unordered_map<std::uint64_t, LoggedSpace> spaces_;  // by memory object
  // Page table to memory object. One that is used again is its new process's, although the old one
  // may not have been found gone yet.
  std::unordered_map<std::uint64_t, std::uint64_t> by_root_;
  std::unordered_map<const Image*, std::shared_ptr<const ImageFunctions>> images_;
  std::uint64_t seen_changes_ = ~std::uint64_t{0};
  std::size_t unsettled_ = 0;
};

}  // namespace swat::daemon
