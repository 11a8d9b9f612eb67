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

}  // namespace

const ImageFormat kElfImages{"ELF", "\177ELF", read_elf};

}  // namespace swat::daemon
