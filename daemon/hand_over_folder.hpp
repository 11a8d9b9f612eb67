// A folder for what QEMU, perhaps another user's process, writes and swatd reads. Others may enter
// it but not list it.
#pragma once

#include <string>

#include "symbols/result.hpp"

namespace swat::daemon {

class HandOverFolder {
 public:
  // Only a name so far, in the system's folder for temporary files: so that whoever is to remove it
  // can be told before it is there.
  HandOverFolder();
  ~HandOverFolder();  // removes it, and all that is in it
  HandOverFolder(const HandOverFolder&) = delete;
  HandOverFolder& operator=(const HandOverFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Result<> make();
  // An empty file that anybody may write; its path.
  [[nodiscard]] Result<std::string> make_file(const std::string& name) const;
  [[nodiscard]] Result<std::string> make_fifo(const std::string& name) const;

 private:
  std::string path_;
  bool made_ = false;
};

}  // namespace swat::daemon
