// Profiles of guest kernels between runs: a file each, $XDG_CACHE_HOME/swatd/profiles/KEY, or below
// ~/.cache.
#pragma once

#include <optional>
#include <string>

#include "osmodels/profile_store.hpp"

namespace swat::daemon {

class ProfileFiles final : public os::ProfileStore {
 public:
  explicit ProfileFiles(std::string folder) : folder_(std::move(folder)) {}
  // By the environment. nullopt: neither variable is set to an absolute path.
  [[nodiscard]] static std::optional<std::string> default_folder();

  // Only a regular file of this user's that nobody else may write, of no absurd size; what is not
  // used is told in the log.
  [[nodiscard]] std::optional<std::string> load(std::string_view key) override;
  // At once or not at all, for whoever reads it meanwhile.
  void save(std::string_view key, std::string_view text) override;
  void reject(std::string_view key, std::string_view why) override;

 private:
  [[nodiscard]] std::string path(std::string_view key) const;

  std::string folder_;
};

}  // namespace swat::daemon
