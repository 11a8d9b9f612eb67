// kallsyms of every era and __ksymtab, in an image that the guest wrote as it liked. The first byte
// chooses the pointer's size; the corpus has one whole table of each layout behind it.
#include <cstddef>
#include <cstdint>
#include <span>

#include "symbols/kallsyms.hpp"
#include "symbols/ksymtab.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  if (size == 0) return 0;
  const bool narrow = (data[0] & 1) != 0;
  const symbols::KernelImage image{Va{narrow ? 0xc1000000 : 0xffffffff81000000},
                                   std::as_bytes(std::span(data + 1, size - 1)), narrow ? 4u : 8u};
  static_cast<void>(symbols::find_kallsyms(image));
  static_cast<void>(symbols::find_ksymtab(image));
  return 0;
}
