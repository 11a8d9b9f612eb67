// What the command line asks to see: which system calls, calls of which functions, whose. By
// default everything; what is not selected is not logged and, as far as the traps allow it, does
// not even stop the guest.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/function_pattern.hpp"
#include "osmodels/model.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

// System calls by name, in strace's words.
class SyscallFilter {
 public:
  // "open,execve": these; "!open,close": all but these; "%class": the names of a class; "all";
  // "none". With or without "trace=" before it. kUsage: no such name, and which is the nearest.
  [[nodiscard]] static Result<SyscallFilter> parse(std::string_view text);

  // "" is a number that no table has a name for: wanted where what is asked is all but something.
  [[nodiscard]] bool wants(std::string_view name) const {
    return all_but_ != names_.contains(name);
  }
  [[nodiscard]] bool is_all() const { return all_but_ && names_.empty(); }
  [[nodiscard]] bool is_none() const { return !all_but_ && names_.empty(); }

 private:
  bool all_but_ = true;  // names_ are those not wanted
  std::set<std::string, std::less<>> names_;
};

// Calls of functions, by MODULE!FUNCTION.
class CallFilter {
 public:
  // Globs; any of them selects. "all" and "none" stand alone. kUsage: no pattern.
  [[nodiscard]] static Result<CallFilter> parse(std::span<const std::string> texts);

  // `function` may be several names, "a|b", when it is not certain which; an empty module is one
  // that is not known. What may be wanted is.
  [[nodiscard]] bool wants(std::string_view module, std::string_view function) const;
  [[nodiscard]] bool is_all() const { return all_; }
  [[nodiscard]] bool is_none() const { return !all_ && patterns_.empty(); }

 private:
  [[nodiscard]] bool wants_one(std::string_view module, std::string_view function) const;

  bool all_ = true;
  std::vector<FunctionPattern> patterns_;
};

// Processes by number or name; process_selection.hpp applies it as they come and go.
struct ProcessFilter {
  std::set<std::uint32_t> pids;
  std::set<std::string, std::less<>> names;  // the whole name, as `swatd ps` prints it
  bool follow = false;  // what the selected ones fork from now on, and what that forks

  // Digits are a process number. kUsage: empty, or a number that no process can have.
  [[nodiscard]] static Result<ProcessFilter> parse(std::span<const std::string> texts, bool follow);
  [[nodiscard]] bool is_all() const { return pids.empty() && names.empty(); }
};

struct Selection {
  SyscallFilter syscalls;
  CallFilter calls;
  ProcessFilter processes;
  bool follows_calls = false;        // the model has to be told of what processes become
  bool watches_returns = false;      // --returns, by watchpoints that come and go
  bool breaks_on_functions = false;  // --break was given: calls are logged whatever `calls` says

  // Whether what processes have mapped is wanted: for calls, or because every event is.
  [[nodiscard]] bool needs_modules() const {
    return !calls.is_none() || breaks_on_functions || syscalls.is_all();
  }
};

}  // namespace swat::daemon
