// What another program prints about a file.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace swat::symbols {

inline std::optional<std::string> output_of(const std::string& command) {
  struct Close {
    void operator()(std::FILE* pipe) const { ::pclose(pipe); }
  };
  const std::unique_ptr<std::FILE, Close> pipe(::popen(command.c_str(), "r"));
  if (!pipe) return {};
  std::string text;
  std::string chunk(1 << 16, '\0');
  while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), pipe.get())) {
    text.append(chunk, 0, n);
  }
  return text;
}

}  // namespace swat::symbols
