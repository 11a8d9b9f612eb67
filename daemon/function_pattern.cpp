#include "daemon/function_pattern.hpp"

#include <fnmatch.h>

namespace swat::daemon {

Result<FunctionPattern> FunctionPattern::parse(std::string_view text) {
  const auto bang = text.find('!');
  FunctionPattern pattern{"*", std::string(text)};
  if (bang != text.npos) {
    pattern = {std::string(text.substr(0, bang)), std::string(text.substr(bang + 1))};
  }
  if (pattern.module.empty() || pattern.function.empty()) {
    return fail(Errc::kUsage, "'" + std::string(text) + "' is not MODULE!FUNCTION");
  }
  return pattern;
}

bool FunctionPattern::matches_module(std::string_view name) const {
  return fnmatch(module.c_str(), std::string(name).c_str(), 0) == 0;
}

bool FunctionPattern::matches_function(std::string_view name) const {
  return fnmatch(function.c_str(), std::string(name).c_str(), 0) == 0;
}

}  // namespace swat::daemon
