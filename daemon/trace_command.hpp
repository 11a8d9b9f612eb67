// `swatd` without a command: traces, until told to stop.
//
// On SIGHUP the file of --config is read again. What it says of what to trace and how (-e, --calls,
// -p, -f, --break, --returns, --traps, --rate-cap) holds from there on; the guest stands still
// meanwhile, so nothing is missed between. Where it cannot be read, all stays as it is.
#pragma once

#include <functional>

#include "daemon/options.hpp"
#include "daemon/planner.hpp"
#include "gdbproto/socket_link.hpp"

namespace swat::daemon {

// The command line's options, and what the file of --config says now.
using OptionsReader = std::function<Result<std::optional<Options>>()>;

struct TraceSetup {
  Vm& vm;
  os::OsModel& model;
  gdbproto::IoLoop& loop;
  const Options& options;
  const OptionsReader& reread;
};

// Leaves the guest stopped, for Vm::release. kUsage: it was paused before us, and --run not given.
[[nodiscard]] Result<> trace(const TraceSetup& setup, Planner planner);

}  // namespace swat::daemon
