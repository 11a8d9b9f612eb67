// What handles stand for, as a log shows it: found out when the first one is asked for.
#pragma once

#include <memory>
#include <string>

#include "osmodels/windows/handle_table.hpp"
#include "osmodels/windows/kernel_objects.hpp"

namespace swat::os::windows {

class HandleNames {
 public:
  struct Context {
    const KernelSpace& kernel;  // outlives this
    std::uint32_t build;
    Va system;  // its EPROCESS
    KernelObjects::FindExport find_export;
    KernelObjects::DriveOf drive_of;
  };
  explicit HandleNames(Context context) : context_(std::move(context)) {}

  // "Event \BaseNamedObjects\x", of a handle of the EPROCESS at `process`; "": there is no such
  // handle, or this build's tables are not known.
  [[nodiscard]] std::string describe(Va process, std::uint64_t handle);

 private:
  void find();

  Context context_;
  int tries_left_ = 8;
  std::unique_ptr<HandleTable> table_;
  std::unique_ptr<KernelObjects> objects_;
};

}  // namespace swat::os::windows
