// Any bytes as the memory around a PE header: the address of the header, of eight bytes, and what
// is from there on as RAM (input.hpp). Seeds: the samples of tests/symbols/pe_samples, mapped.
// Images may claim less than a reader takes otherwise: room for what a lie claims, made and cleared
// before the memory turns out to be absent, was most of the time.
#include <cstdint>

#include "input.hpp"
#include "symbols/pe_image.hpp"

namespace swat::fuzz {
namespace {

using namespace symbols;

constexpr PeLimits kLimits{.max_header_bytes = 4 << 10,
                           .max_sections = 24,
                           .max_functions = 256,
                           .max_names = 256,
                           .max_libraries = 16,
                           .max_imports = 256,
                           .max_all_names_bytes = 16 << 10};

void read_all(VirtualMemory& memory, Va base) {
  const auto image = PeImage::open(memory, base, kLimits);
  if (!image) return;
  require(image->extent().contains(base));
  if (const auto exports = image->exports(memory)) {
    require(exports->size() <= kLimits.max_functions + kLimits.max_names);
    for (const PeExport& e : *exports) {
      require(e.is_forwarder() != image->extent().contains(e.address));
    }
  }
  if (const auto imports = image->imports(memory)) {
    require(imports->size() <= kLimits.max_imports + 1);
    for (const PeImport& import : *imports) require(image->extent().contains(import.slot));
  }
  static_cast<void>(image->export_name(memory));
  static_cast<void>(image->debug_id(memory));
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  const swat::Va base{input.take<std::uint64_t>()};
  ram.load(input);
  InputMemory whole(ram, base);
  read_all(whole, base);
  InputMemory holed(ram, base, 1);
  read_all(holed, base);
  return 0;
}
