#include <array>
#include <span>

#include "daemon/image.hpp"

namespace swat::daemon {

void find_runs(Image& image) {
  for (std::size_t i = 0; i < image.slots.size(); ++i) {
    const bool continues =
        i > 0 && image.slots[i].offset == image.slots[i - 1].offset + image.word_bytes;
    if (continues) {
      image.slot_runs.back().second = i;
    } else {
      image.slot_runs.emplace_back(i, i);
    }
  }
}

namespace {

Result<const ImageFormat*> format_at(VirtualMemory& memory, Va base) {
  for (const ImageFormat* format : {&kElfImages, &kPeImages}) {
    std::array<char, 4> first{};
    const auto magic = std::span(first).first(format->magic.size());
    SWAT_CHECK(memory.read(base, std::as_writable_bytes(magic)));
    if (std::string_view(magic.data(), magic.size()) == format->magic) return format;
  }
  return fail(Errc::kBadImage, "no image of a known format", base.value);
}

}  // namespace

Result<Image> read_image(VirtualMemory& memory, Va base) {
  return SWAT_TRY(format_at(memory, base))->read(memory, base);
}

Result<bool> is_laid_out(VirtualMemory& memory, const os::Module& module,
                         std::span<const os::Mapping> mappings) {
  return SWAT_TRY(format_at(memory, module.base))->is_laid_out(memory, module, mappings);
}

}  // namespace swat::daemon
