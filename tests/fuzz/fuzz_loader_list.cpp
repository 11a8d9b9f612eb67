// What a process's loader has loaded: a byte that is odd for a process of 32 bits, its PEB, and
// what its EPROCESS has of its 32-bit side, of eight bytes each; the rest is memory
// (windows_input.hpp).
#include <cstdint>

#include "osmodels/windows/loader_list.hpp"
#include "utf8.hpp"
#include "windows_input.hpp"

namespace swat::fuzz {
namespace {

using namespace os::windows;

void walk(VirtualMemory& memory, Va peb, unsigned word_bytes) {
  const auto images = read_loader_list(memory, peb, word_bytes);
  if (!images) {
    return require(images.error().code == Errc::kBadImage || images.error().code == Errc::kFault);
  }
  std::size_t path_bytes = 0;
  for (const LoadedImage& image : *images) {
    const std::uint64_t end = user_end(word_bytes);
    require(!image.base.is_null() && image.size_bytes != 0);
    require(image.base.value < end && image.size_bytes <= end - image.base.value);
    require(is_utf8(image.path));
    path_bytes += image.path.size();
  }
  require(path_bytes <= kMostPathBytes);
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  const bool narrow = (input.take<std::uint8_t>() & 1) != 0;
  const Va peb{input.take<std::uint64_t>()};
  const Va wow64{input.take<std::uint64_t>()};
  ram.load(input);
  LowMemory memory(ram);
  walk(memory, peb, narrow ? 4 : 8);
  if (narrow) return 0;
  const auto peb32 = os::windows::find_peb32(memory, wow64);
  if (!peb32) return 0;
  require(peb32->value < InputRam::kBytes);
  walk(memory, *peb32, 4);
  return 0;
}
