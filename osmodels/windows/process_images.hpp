// What a process has mapped of images: by the kernel's VADs, and by what the process's own loader
// says where these are not known or cannot be read.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "osmodels/model.hpp"
#include "osmodels/windows/loader_list.hpp"
#include "osmodels/windows/vad_tree.hpp"

namespace swat::os::windows {

class ProcessImages {
 public:
  // `kernel` outlives this. `shape`: null where it is not known.
  ProcessImages(const KernelSpace& kernel, const VadShape* shape)
      : kernel_(kernel), shape_(kernel.offsets.process_vad_root ? shape : nullptr) {}

  // Of the EPROCESS at `process`, whose loaders list `loaded`; ascending. (The program of a 32-bit
  // process is in both of its loaders' lists.) The kernel knows a file's
  // volume, and no letter for it: that one is taken from what any loader has said until now, and
  // before that paths begin with a backslash. Where the loader has other words for a file (a link,
  // other capitals, or System32 for a 32-bit process), the kernel's hold.
  [[nodiscard]] std::vector<Mapping> of(Va process, std::span<const LoadedImage> loaded);

  // "C:", by the device of a volume; "": no loader has said so yet.
  [[nodiscard]] std::string drive_of(Va device) const;

 private:
  void learn_drives(std::span<const MappedImage> mapped, std::span<const LoadedImage> loaded);

  const KernelSpace& kernel_;
  const VadShape* shape_;
  std::unordered_map<Va, std::string> drives_;  // "C:", by the device of a volume
};

}  // namespace swat::os::windows
