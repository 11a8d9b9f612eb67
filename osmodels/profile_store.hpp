// Where what was found out about one kernel build is kept, to be found out faster the next time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace swat::os {

// Texts by key, which is the build id of a kernel or the hash of its banner: [0-9a-z-]+. What comes
// back may be anything: whoever uses it checks it against the guest.
class ProfileStore {
 public:
  virtual ~ProfileStore() = default;
  // nullopt: nothing of that key, or nothing that may be used.
  [[nodiscard]] virtual std::optional<std::string> load(std::string_view key) = 0;
  // A failure is no error: the next time takes longer.
  virtual void save(std::string_view key, std::string_view text) = 0;
  // What load() gave for the key is of no use, and why.
  virtual void reject(std::string_view key, std::string_view why) = 0;
};

}  // namespace swat::os
