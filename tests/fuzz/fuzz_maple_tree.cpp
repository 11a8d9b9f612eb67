// Maple trees: a byte that is odd for a kernel of 32 bits, where its direct map begins, the root,
// of eight bytes each; the rest is RAM (input.hpp).
#include <cstdint>

#include "input.hpp"
#include "osmodels/linux/maple_tree.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  constexpr std::size_t kMostEntries = 500;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  os::KernelLayout layout = os::kX86_64Layout;
  layout.word_bytes = (input.take<std::uint8_t>() & 1) != 0 ? 4 : 8;
  const Va base{input.take<std::uint64_t>()};
  const auto root = input.take<std::uint64_t>();
  ram.load(input);
  InputMemory memory(ram, base);
  const auto entries = os::read_maple_tree(memory, root, kMostEntries, layout);
  if (!entries) return 0;
  require(entries->size() <= kMostEntries);
  for (std::size_t i = 0; i < entries->size(); ++i) {
    require((*entries)[i].first <= (*entries)[i].last);
    require(i == 0 || (*entries)[i].first > (*entries)[i - 1].last);
  }
  return 0;
}
