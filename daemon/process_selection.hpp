// Which of the processes that come and go are those that were asked for with -p and -f.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "daemon/selection.hpp"

namespace swat::daemon {

// A process is selected by its number; or while its first thread has the name asked for; or, when
// children are followed, for good, once its parent was selected when it was first met. That tells
// from who its parent is, which lasts as long as the parent: say when one is about to end.
class ProcessSelection {
 public:
  // `model` outlives this.
  ProcessSelection(ProcessFilter filter, os::OsModel& model)
      : filter_(std::move(filter)), model_(model) {}

  // What runs when tracing begins: none of it is a child "from now on".
  void begin(const std::vector<os::Process>& processes);

  // At each event, so that names are current. The guest is stopped.
  [[nodiscard]] bool wants(const os::Thread& thread);
  // Whether wants() can tell without reading the guest.
  [[nodiscard]] bool knows(const os::Process& process) const {
    return filter_.is_all() || !filter_.follow || known_.contains(process.key);
  }
  // As OsModel::processes() gives it: with the first thread's name.
  [[nodiscard]] bool wants(const os::Process& leader);

  // The process is about to end; its children are met now, while they still are its children.
  void will_exit(const os::Process& process);
  void gone(os::ProcessKey process);

 private:
  [[nodiscard]] bool is_selected(os::ProcessKey process, std::uint32_t pid) const;
  void learn_name(const os::Process& leader);
  void meet(const os::Process& process);

  ProcessFilter filter_;
  os::OsModel& model_;
  std::unordered_set<os::ProcessKey> known_;     // met before, selected or not; only when following
  std::unordered_set<os::ProcessKey> followed_;  // children of selected ones
  std::unordered_set<os::ProcessKey> named_;     // whose first thread had a name asked for
};

}  // namespace swat::daemon
