// __ksymtab of every era, in an image that the guest wrote as it liked.
#include <cstdint>

#include "input.hpp"
#include "symbols/ksymtab.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  fuzz::Input input(data, size);
  const auto table = symbols::find_ksymtab(fuzz::take_image(input));
  if (!table) return 0;
  for (const symbols::Symbol& symbol : table->all()) {
    fuzz::require(!symbol.name.empty() && !symbol.address.is_null());
  }
  return 0;
}
