// Which import slots of a module lead to functions that are wanted, so that no other is watched.
#pragma once

#include <vector>

#include "daemon/process_table.hpp"
#include "daemon/selection.hpp"

namespace swat::daemon {

// Runs of neighbouring slots. Whose function a slot leads to is told by its value once it is bound;
// before that, by its name: any module that exports it may be the one, and if none does, one that
// is yet to be loaded. `loaded` is one of view's, with an image.
[[nodiscard]] std::vector<LoadedModule::Run> wanted_runs(const ProcessView& view,
                                                         const LoadedModule& loaded,
                                                         const CallFilter& wanted);

}  // namespace swat::daemon
