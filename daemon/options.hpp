// The command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/trace_options.hpp"
#include "daemon/vm.hpp"

namespace swat::daemon {

enum class Command { kTrace, kPs, kModules, kFunctions, kProfile, kDoctor, kSyscalls };

struct Options {
  Command command = Command::kTrace;
  AttachOptions attach;
  std::string os = "auto";
  std::string traps;  // a TrapKind's name; "" lets the planner choose
  std::string log = "-";
  std::string json;                       // "" for none
  std::string config;                     // file that some of these were read from; "" for none
  std::optional<std::uint64_t> rate_cap;  // events of one name a second
  bool stats = false;
  bool names = false;
  bool run = false;  // run a guest that was paused, and pause it again at the end
  TraceOptions trace;
  std::optional<std::uint32_t> pid;  // ps, modules, functions
  std::string glob = "*";            // functions
  std::string isf;                   // profile; "" for none
  std::string syscall_table;         // syscalls; "" lists them
  bool use_btf = true;               // profile; off: as of a kernel that has none
  bool structures = true;            // of the kernel are looked at, where they can be found
  std::string profile;               // file of where the guest's kernel has what; "" for none
  bool profile_cache = true;         // keep what is found of a kernel for the next run
  int verbosity = 0;
};

// nullopt: --help or --version was asked for, and has been answered. kUsage: one line that says
// what is wrong.
[[nodiscard]] Result<std::optional<Options>> parse_options(int argc, const char* const* argv);

}  // namespace swat::daemon
