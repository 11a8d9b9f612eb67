// Functions and import slots of image files, read out of guest memory once a file and shared by
// every process that maps it; of files on this host, too, what memory lacks (--files).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/module_files.hpp"
#include "osmodels/model.hpp"
#include "symbols/memory.hpp"

namespace swat::daemon {

// Addresses are offsets from the image's load address, so that they hold in every process.
struct ImageExport {
  std::uint64_t offset;
  std::string name;
  std::string version;
  bool is_ifunc;           // offset is the resolver's, which nobody calls
  bool is_default = true;  // what a program that is linked today gets: name@@version
};

struct ImageSlot {
  std::uint64_t offset;
  std::string name;
};

struct Image {
  unsigned word_bytes = 8;
  // What others can call; of a statically linked program its functions, if a file names them.
  std::vector<ImageExport> exports;  // ascending by offset
  std::vector<ImageSlot> slots;      // ascending by offset
  // Runs of slots without anything between them: [first, last] indexes into slots.
  std::vector<std::pair<std::size_t, std::size_t>> slot_runs;
};

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

// Uncached. An image without dynamic linking has neither exports nor slots, and is no error.
[[nodiscard]] Result<Image> read_image(VirtualMemory& memory, Va base);

}  // namespace swat::daemon
