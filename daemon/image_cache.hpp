// Functions and import slots of image files, read out of guest memory once a file and shared by
// every process that maps it; of files on this host, too, what memory lacks (--files).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "daemon/image.hpp"
#include "daemon/module_files.hpp"
#include "osmodels/model.hpp"
#include "symbols/memory.hpp"

namespace swat::daemon {

class ImageCache {
 public:
  // `files`: null for none.
  explicit ImageCache(std::shared_ptr<const RootFolder> files = nullptr) {
    if (files != nullptr) files_.emplace(std::move(files));
  }

  // Tells in the log where a program's functions have no names, once. kFault: some of it is not
  // paged in; ask again at that process's next event.
  [[nodiscard]] Result<std::shared_ptr<const Image>> get(VirtualMemory& memory,
                                                         const os::Module& module);

 private:
  using Key = std::pair<std::uint64_t, std::string>;  // file identity, path

  [[nodiscard]] Result<Image> read(VirtualMemory& memory, const os::Module& module);
  [[nodiscard]] Result<symbols::ElfFile> find_file(VirtualMemory& memory, const os::Module& module);

  std::optional<ModuleFiles> files_;
  std::map<Key, std::shared_ptr<const Image>> images_;
};

}  // namespace swat::daemon
