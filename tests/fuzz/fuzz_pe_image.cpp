// Any bytes as the memory around a PE header: the address of the header, of eight bytes, and what
// is from there on as RAM (input.hpp). Seeds: the samples of tests/symbols/pe_samples, mapped.
#include <cstdint>

#include "input.hpp"
#include "symbols/pe_image.hpp"

namespace swat::fuzz {
namespace {

using namespace symbols;

void read_all(VirtualMemory& memory, Va base) {
  const auto image = PeImage::open(memory, base);
  if (!image) return;
  require(image->extent().contains(base));
  if (const auto exports = image->exports(memory)) {
    for (const PeExport& e : *exports) {
      require(e.is_forwarder() != image->extent().contains(e.address));
    }
  }
  if (const auto imports = image->imports(memory)) {
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
