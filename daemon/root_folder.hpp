// A root file system of the guest's, unpacked on this host (--files DIR): the contents of a
// firmware.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "symbols/result.hpp"

namespace swat::daemon {

class RootFolder {
 public:
  static constexpr std::size_t kMaxFileBytes = 64 << 20;

  // kUsage: there is no such folder, or this host's kernel cannot look things up in it.
  [[nodiscard]] static Result<std::shared_ptr<const RootFolder>> open(const std::string& folder);
  ~RootFolder();
  RootFolder(const RootFolder&) = delete;
  RootFolder& operator=(const RootFolder&) = delete;

  // All of the regular file that the guest knows by this path. ".." and symbolic links lead where
  // they would after chroot, never out of the folder. kNotFound: there is none; kUnsupported: it is
  // no regular file (a device is not even opened), too large, or not readable.
  [[nodiscard]] Result<std::vector<std::byte>> read(const std::string& path) const;

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  RootFolder(std::string name, int fd) : name_(std::move(name)), fd_(fd) {}
  // An O_PATH descriptor; -1 with errno.
  [[nodiscard]] int look_up(const std::string& path) const;

  std::string name_;
  int fd_;
};

}  // namespace swat::daemon
