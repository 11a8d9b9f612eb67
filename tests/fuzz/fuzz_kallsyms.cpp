// kallsyms of every era, in an image that the guest wrote as it liked; the corpus has one whole
// table of each layout.
#include <cstdint>

#include "input.hpp"
#include "symbols/kallsyms.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  fuzz::Input input(data, size);
  static_cast<void>(symbols::find_kallsyms(fuzz::take_image(input)));
  return 0;
}
