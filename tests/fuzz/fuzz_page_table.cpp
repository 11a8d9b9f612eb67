// Page tables of every geometry: the first byte picks it, then come the root and an address, of
// eight bytes each; the rest is RAM (input.hpp).
#include <array>
#include <cstdint>

#include "geometries.hpp"

namespace swat::fuzz {
namespace {

// Leaves come in order, do not overlap, and say what a look-up of their start says.
void check_leaves(os::AddressSpace& space, VaRange range) {
  constexpr int kMostLeaves = 40;
  int seen = 0;
  std::uint64_t last = 0;
  const auto visit = [&](Va at, const os::Translation& to) {
    require(seen == 0 || at.value > last);
    last = at.value + (to.page_bytes - 1);
    const auto found = space.translate(at);
    require(found && found->at == to.at && found->writable == to.writable);
    return ++seen < kMostLeaves;
  };
  (void)space.for_each_leaf(range, visit).has_value();
}

void walk(Input input) {
  static InputRam ram(InputRam::Others::kAreZero);
  const os::PageGeometry& geometry = geometry_of(input.take<std::uint8_t>());
  const Pa root{input.take<std::uint64_t>()};
  const Va at{input.take<std::uint64_t>()};
  ram.load(input);
  os::AddressSpace space(ram, geometry, root);
  std::array<std::byte, 5000> bytes;
  (void)space.read(at, bytes).has_value();
  space.forget();
  constexpr std::uint64_t kSpan = 1 << 23;
  if (at.value < ~kSpan) check_leaves(space, {at, at + kSpan});
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  swat::fuzz::walk({data, size});
  return 0;
}
