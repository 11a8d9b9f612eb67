// What real QEMU said: the texts of tests/transcripts.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "daemon/ram_layout.hpp"

namespace swat::daemon {

[[nodiscard]] inline std::string recorded(const std::string& name) {
  std::ifstream file(SWAT_TRANSCRIPTS "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << "no " << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The answer to `command` in a layout-*.hmp; fails the test when it was not recorded.
[[nodiscard]] inline std::string answer_in(const std::string& text, std::string_view command) {
  const std::string question = "(qemu) " + std::string(command) + "\n";
  const auto at = text.find(question);
  if (at == std::string::npos) {
    ADD_FAILURE() << "never recorded: " << command;
    return {};
  }
  const auto start = at + question.size();
  const auto end = text.find("(qemu) ", start);
  return text.substr(start, end == std::string::npos ? end : end - start);
}

// An HMP monitor that answers from a recording.
[[nodiscard]] inline Monitor monitor_of(const std::string& name) {
  return [text = recorded(name)](std::string_view command) -> Result<std::string> {
    return answer_in(text, command);
  };
}

}  // namespace swat::daemon
