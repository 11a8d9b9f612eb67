#include "daemon/image_cache.hpp"

#include <spdlog/spdlog.h>

#include "daemon/printable.hpp"
#include "symbols/elf_symtab.hpp"

namespace swat::daemon {
namespace {

constexpr std::size_t kMaxImages = 4096;  // beyond that the cache starts over

// A dynamic program imports at least what starts it, a library exports something.
bool is_static(const Image& image) { return image.exports.empty() && image.slots.empty(); }

// kFault: whether the file is the guest's cannot be told yet.
Result<> name_functions(const os::Module& module, const Result<symbols::ElfFile>& file,
                        Image& image) {
  if (!file && file.error().code == Errc::kFault) return tl::unexpected(file.error());
  const auto functions = file ? symbols::functions_by_symtab(*file) : tl::unexpected(file.error());
  if (!functions) {
    spdlog::info("{}: statically linked, and no names of its functions are in memory: {}",
                 printable(module.name()), functions.error().what);
    return {};
  }
  for (const symbols::ElfFunction& f : *functions) {
    image.exports.push_back({f.address - module.base, f.name, {}, f.is_ifunc});
  }
  spdlog::info(
      "{}: statically linked, {} names of functions by its file; calls of them are seen "
      "with --break and --traps exec-log, as there are no imports to watch",
      printable(module.name()), functions->size());
  return {};
}

}  // namespace

Result<symbols::ElfFile> ImageCache::find_file(VirtualMemory& memory, const os::Module& module) {
  if (!files_) return fail(Errc::kUnsupported, "--files DIR takes them from a file");
  return files_->find(memory, module);
}

// Out of memory, and where that is absent, out of the file.
Result<Image> ImageCache::read(VirtualMemory& memory, const os::Module& module) {
  auto image = read_image(memory, module.base);
  const bool is_complete = image ? !is_static(*image) : image.error().code != Errc::kFault;
  if (is_complete || !module.path.starts_with('/')) return image;
  const auto file = find_file(memory, module);
  if (!image) {
    if (!file) return image;
    symbols::ElfFileBackedMemory both(memory, *file);
    image = read_image(both, module.base);
  }
  if (image && is_static(*image)) SWAT_CHECK(name_functions(module, file, *image));
  return image;
}

Result<std::shared_ptr<const Image>> ImageCache::get(VirtualMemory& memory,
                                                     const os::Module& module) {
  const Key key{module.file_id, module.path};
  // Without an identity of the file (the vDSO) nothing says that two of one name are the same.
  if (const auto known = images_.find(key); known != images_.end() && module.file_id != 0) {
    return known->second;
  }
  auto image = std::make_shared<const Image>(SWAT_TRY(read(memory, module)));
  if (module.file_id == 0) return image;
  if (images_.size() >= kMaxImages) images_.clear();
  images_.emplace(key, image);
  return image;
}

}  // namespace swat::daemon
