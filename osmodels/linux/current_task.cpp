#include "osmodels/linux/current_task.hpp"

#include "osmodels/linux/kernel_stack_task.hpp"
#include "osmodels/linux/per_cpu_task.hpp"

namespace swat::os {
namespace {

// The cheapest first; a way that is not of this architecture says so.
constexpr Result<std::unique_ptr<CurrentTask>> (*kWays[])(const CurrentTaskInput&) = {
    KernelStackTask::find,
    PerCpuTask::find,
};

}  // namespace

Result<std::unique_ptr<CurrentTask>> find_current_task(const CurrentTaskInput& input) {
  Error why{Errc::kNotFound, "no way to tell the running task", {}};
  for (const auto& find : kWays) {
    auto found = find(input);
    if (found) return found;
    if (found.error().code != Errc::kUnsupported) why = std::move(found).error();
  }
  return tl::unexpected(std::move(why));
}

}  // namespace swat::os
