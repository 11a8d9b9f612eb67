// What a trace is asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "daemon/module_traps.hpp"
#include "daemon/root_folder.hpp"
#include "daemon/selection.hpp"

namespace swat::daemon {

struct TraceOptions {
  std::optional<std::chrono::milliseconds> duration;
  std::optional<std::uint64_t> max_events;
  FunctionBreaks breaks;
  Selection selection;
  bool returns = false;                               // of syscalls, as well
  bool call_returns = false;                          // of functions
  std::shared_ptr<const RootFolder> files = nullptr;  // of the guest, on this host; null for none
};

}  // namespace swat::daemon
