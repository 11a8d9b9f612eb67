// How the command line names functions of a guest: MODULE!FUNCTION.
#pragma once

#include <string>
#include <string_view>

#include "symbols/result.hpp"

namespace swat::daemon {

// "libc.so.6!malloc": both sides are globs; without "!" the function of any module.
struct FunctionPattern {
  std::string module;
  std::string function;

  // kUsage: one side is empty.
  [[nodiscard]] static Result<FunctionPattern> parse(std::string_view text);
  [[nodiscard]] bool matches_module(std::string_view name) const;
  [[nodiscard]] bool matches_function(std::string_view name) const;
};

}  // namespace swat::daemon
