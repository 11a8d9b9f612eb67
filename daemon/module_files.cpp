#include "daemon/module_files.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "daemon/printable.hpp"

namespace swat::daemon {
namespace {

constexpr std::size_t kMaxKnown = 4096;           // files; beyond that they are read anew
constexpr std::size_t kMaxHeldBytes = 256 << 20;  // the same

}  // namespace

ModuleFiles::Known& ModuleFiles::known(const Key& key) {
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  if (known_.size() >= kMaxKnown || held_bytes_ > kMaxHeldBytes) {
    known_.clear();
    held_bytes_ = 0;
  }
  auto bytes = root_->read(key.second);
  if (!bytes) return known_.emplace(key, tl::unexpected(bytes.error())).first->second;
  held_bytes_ += bytes->size();
  return known_.emplace(key, std::make_shared<const std::vector<std::byte>>(*std::move(bytes)))
      .first->second;
}

Result<symbols::ElfFile> ModuleFiles::find(VirtualMemory& memory, const os::Module& module) {
  const Key key{module.file_id, module.path};
  Known& candidate = known(key);
  if (!candidate) return tl::unexpected(candidate.error());
  auto file = symbols::ElfFile::place(*candidate, module.base);
  const Result<> same = file ? file->prove(memory) : tl::unexpected(file.error());
  if (!same && same.error().code == Errc::kFault) return tl::unexpected(same.error());
  held_bytes_ -= (*candidate)->size();
  if (same) {
    known_.erase(key);
    return file;
  }
  const std::string where =
      same.error().guest ? fmt::format(" at {:x}", *same.error().guest) : std::string();
  spdlog::warn("{}{} is not the guest's file ({}{}): no name of it is used", root_->name(),
               printable(module.path), same.error().what, where);
  candidate = fail(same.error().code, "the file there is another");
  return tl::unexpected(candidate.error());
}

}  // namespace swat::daemon
