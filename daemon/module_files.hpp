// The files that a guest's modules are mapped from, where this host has them (--files DIR) and they
// are proven to be the same: a wrong name never appears.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "daemon/root_folder.hpp"
#include "osmodels/model.hpp"
#include "symbols/elf_file.hpp"
#include "symbols/memory.hpp"

namespace swat::daemon {

class ModuleFiles {
 public:
  explicit ModuleFiles(std::shared_ptr<const RootFolder> root) : root_(std::move(root)) {}

  // `module` is of a file. kFault: it cannot be told yet, ask again. Else what stands against it,
  // told once in the log where that is another file than the guest's. The guest stands still.
  [[nodiscard]] Result<symbols::ElfFile> find(VirtualMemory& memory, const os::Module& module);

 private:
  using Key = std::pair<std::uint64_t, std::string>;  // file identity, path
  using Known = Result<symbols::ElfFile::Bytes>;      // or why there is nothing to compare with

  [[nodiscard]] Known& known(const Key& key);

  std::shared_ptr<const RootFolder> root_;
  std::map<Key, Known> known_;
  std::size_t held_bytes_ = 0;  // of files in known_
};

}  // namespace swat::daemon
