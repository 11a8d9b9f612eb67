// What is traced, in the words of the command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/selection.hpp"

namespace swat::daemon {

inline Selection selection(std::string_view syscalls, std::vector<std::string> calls = {"none"}) {
  Selection s;
  s.syscalls = *SyscallFilter::parse(syscalls);
  s.calls = *CallFilter::parse(calls);
  return s;
}

}  // namespace swat::daemon
