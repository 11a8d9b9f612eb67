#include <algorithm>
#include <tuple>

#include "daemon/image.hpp"
#include "symbols/elf_image.hpp"

namespace swat::daemon {
namespace {

std::vector<ImageExport> relative_exports(std::vector<symbols::ElfExport> exports, Va base) {
  std::vector<ImageExport> relative;
  relative.reserve(exports.size());
  for (symbols::ElfExport& e : exports) {
    relative.push_back(
        {e.address - base, std::move(e.name), std::move(e.version), e.is_ifunc, e.is_default});
  }
  std::sort(relative.begin(), relative.end(), [](const ImageExport& a, const ImageExport& b) {
    return std::tie(a.offset, a.name) < std::tie(b.offset, b.name);
  });
  return relative;
}

// A slot that names no import is one that the module resolves to itself (IRELATIVE).
std::vector<ImageSlot> relative_slots(std::vector<symbols::ImportSlot> slots, Va base) {
  std::vector<ImageSlot> relative;
  for (symbols::ImportSlot& slot : slots) {
    if (!slot.name.empty()) relative.push_back({slot.slot - base, std::move(slot.name)});
  }
  return relative;
}

Result<Image> read_elf(VirtualMemory& memory, Va base) {
  const auto elf = SWAT_TRY(symbols::ElfImage::open(memory, base));
  Image image;
  image.word_bytes = elf.is_64_bit() ? 8 : 4;
  if (!elf.has_dynamic()) return image;
  image.exports = relative_exports(SWAT_TRY(elf.exports(memory)), base);
  image.slots = relative_slots(SWAT_TRY(elf.import_slots(memory)), base);
  find_runs(image);
  return image;
}

bool holds(const os::Mapping& mapping, const os::Module& module, Va at, std::uint64_t file_offset) {
  return mapping.range.contains(at) && mapping.file_id == module.file_id &&
         mapping.file_offset + (at - mapping.range.start) == file_offset;
}

// By both ends of what each PT_LOAD has of the file: what lies between may be protected otherwise,
// but it is mapped with them.
Result<bool> is_elf_laid_out(VirtualMemory& memory, const os::Module& module,
                             std::span<const os::Mapping> mappings) {
  const auto elf = SWAT_TRY(symbols::ElfImage::open(memory, module.base));
  return std::ranges::all_of(elf.layout().loads, [&](const symbols::ElfLayout::Load& load) {
    const auto is_mapped = [&](std::uint64_t at) {
      return std::ranges::any_of(mappings, [&](const os::Mapping& mapping) {
        return holds(mapping, module, load.where.start + at, load.file_offset + at);
      });
    };
    return load.file_bytes == 0 || (is_mapped(0) && is_mapped(load.file_bytes - 1));
  });
}

}  // namespace

const ImageFormat kElfImages{"ELF", "\177ELF", read_elf, is_elf_laid_out};

}  // namespace swat::daemon
