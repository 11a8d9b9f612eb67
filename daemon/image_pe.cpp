#include <algorithm>
#include <tuple>

#include "daemon/image.hpp"
#include "symbols/pe_image.hpp"

namespace swat::daemon {
namespace {

// As the loader's own words have it: "host.#7".
std::string by_ordinal(std::uint32_t ordinal) { return "#" + std::to_string(ordinal); }

// Of functions that are here: a forwarder's are its target's, and data is not called.
std::vector<ImageExport> functions_of(std::vector<symbols::PeExport> exports, Va base) {
  std::vector<ImageExport> functions;
  for (symbols::PeExport& e : exports) {
    if (e.is_forwarder() || !e.is_code) continue;
    std::string name = e.name.empty() ? by_ordinal(e.ordinal) : std::move(e.name);
    functions.push_back({e.address - base, std::move(name), {}, false});
  }
  std::ranges::sort(functions, {}, [](const ImageExport& e) { return std::tie(e.offset, e.name); });
  return functions;
}

// With the null word that ends each library's list where another one follows: so one watch covers
// the whole import address table.
std::vector<ImageSlot> slots_of(std::vector<symbols::PeImport> imports, Va base,
                                unsigned word_bytes) {
  std::vector<ImageSlot> slots;
  for (symbols::PeImport& import : imports) {
    const std::uint64_t offset = import.slot - base;
    if (!slots.empty() && slots.back().offset == offset) continue;  // two lists share it
    if (!slots.empty() && slots.back().offset + 2 * std::uint64_t{word_bytes} == offset) {
      slots.push_back({offset - word_bytes, {}});
    }
    std::string name = import.ordinal ? by_ordinal(*import.ordinal) : std::move(import.name);
    slots.push_back({offset, std::move(name)});
  }
  return slots;
}

Result<Image> read_pe(VirtualMemory& memory, Va base) {
  const auto pe = SWAT_TRY(symbols::PeImage::open(memory, base));
  Image image;
  image.word_bytes = pe.is_64_bit() ? 8 : 4;
  image.imports_by_other_names = true;
  image.exports = functions_of(SWAT_TRY(pe.exports(memory)), base);
  image.slots = slots_of(SWAT_TRY(pe.imports(memory)), base, image.word_bytes);
  find_runs(image);
  return image;
}

// One view of a section, which the kernel maps in all its parts at once.
Result<bool> is_pe_laid_out(VirtualMemory&, const os::Module&, std::span<const os::Mapping>) {
  return true;
}

}  // namespace

const ImageFormat kPeImages{"PE", "MZ", read_pe, is_pe_laid_out};

}  // namespace swat::daemon
