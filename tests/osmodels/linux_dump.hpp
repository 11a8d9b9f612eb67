// Tests that run once for each dump of a real guest.
//
// SWAT_TEST_DUMPS names a folder of dumps made by dump_guest, one folder each.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dump_view.hpp"
#include "osmodels/linux/linux_model.hpp"

namespace swat::test {

// One folder each; "none" when there are no dumps.
inline std::vector<std::string> dump_names() {
  std::vector<std::string> names;
  const char* folder = std::getenv("SWAT_TEST_DUMPS");
  if (folder == nullptr) return {"none"};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

struct Attachment {
  std::unique_ptr<DumpView> view;
  Truth truth;
  Result<os::AttachedLinux> linux_guest = fail(Errc::kNotFound, "not attached");
};

class LinuxDump : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("SWAT_TEST_DUMPS");
    if (folder == nullptr) {
      GTEST_SKIP() << "SWAT_TEST_DUMPS is not set: no real guest was looked at (see dump_guest)";
    }
    directory_ = std::filesystem::path(folder) / GetParam();
  }

  [[nodiscard]] Attachment attach(const os::LinuxModelOptions& options = {}) const {
    Attachment made;
    made.view = std::make_unique<DumpView>(directory_);
    made.truth = read_truth(directory_);
    made.linux_guest = os::attach_linux(*made.view, options);
    return made;
  }

  std::filesystem::path directory_;
};

inline std::string dump_test_name(const testing::TestParamInfo<std::string>& dump) {
  std::string name = dump.param;
  std::ranges::replace_if(
      name, [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

}  // namespace swat::test
