// Any bytes as the memory around an ELF header: the address of the header, of eight bytes, and what
// is from there on as RAM (input.hpp). Seeds: libraries linked with --nmagic, which are their own
// memory image (tests/symbols/samples), and what cut_memory took out of processes.
#include <cstdint>

#include "input.hpp"
#include "symbols/elf_image.hpp"

namespace swat::fuzz {
namespace {

using namespace symbols;

void read_all(VirtualMemory& memory, Va base) {
  const auto image = ElfImage::open(memory, base);
  if (!image) return;
  require(image->extent().contains(base));
  if (const auto exports = image->exports(memory)) {
    for (const ElfExport& e : *exports) require(image->extent().contains(e.address));
  }
  if (const auto slots = image->import_slots(memory)) {
    for (const ImportSlot& slot : *slots) require(image->extent().contains(slot.slot));
  }
  static_cast<void>(image->soname(memory));
  static_cast<void>(image->interpreter(memory));
  static_cast<void>(image->check_dynamic(memory));
  static_cast<void>(image->debug(memory));
  static_cast<void>(image->build_id(memory));
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
