// A process's tree of address ranges, and what becomes of it together with what its loader says:
// what windows_input.hpp takes, an EPROCESS and a PEB, of eight bytes each; the rest is memory.
#include <cstdint>

#include "osmodels/windows/process_images.hpp"
#include "utf8.hpp"
#include "windows_input.hpp"

namespace swat::fuzz {
namespace {

using namespace os::windows;

std::size_t walk(const KernelSpace& space, const VadShape& shape, Va process) {
  const auto images = read_mapped_images(space, shape, process);
  if (!images) {
    require(images.error().code == Errc::kBadImage || images.error().code == Errc::kFault);
    return 0;
  }
  Va last{};
  std::size_t path_bytes = 0;
  for (const MappedImage& image : *images) {
    require(image.range.start >= last && image.range.start < image.range.end);
    require(image.range.end.value <= user_end(space.word_bytes));
    require(image.range.start.value % InputRam::kPageBytes == 0);
    require(image.range.end.value % InputRam::kPageBytes == 0);
    require(is_utf8(image.path));
    last = image.range.start;
    path_bytes += image.path.size();
  }
  require(path_bytes <= kMostPathBytes);
  return images->size();
}

void check(const std::vector<os::Mapping>& mappings) {
  Va last{};
  for (const os::Mapping& mapping : mappings) {
    require(mapping.range.start >= last && mapping.range.start < mapping.range.end);
    require(mapping.file_id != 0 && is_utf8(mapping.path));
    last = mapping.range.start;
  }
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  const WindowsInput guest = take_windows(input);
  const Va process{input.take<std::uint64_t>()};
  const Va peb{input.take<std::uint64_t>()};
  ram.load(input);
  LowMemory memory(ram);
  const auto space = guest.space(memory);
  const auto* const shape = os::windows::find_vad_shape(guest.build, guest.word_bytes);
  const std::size_t mapped = shape != nullptr ? walk(space, *shape, process) : 0;
  os::windows::ProcessImages images(space, shape);
  const auto loaded = os::windows::read_loader_list(memory, peb, guest.word_bytes);
  if (!loaded) return 0;
  // Twice: from the first time on drives are known.
  for (int i = 0; i < 2; ++i) {
    const auto mappings = images.of(process, *loaded);
    check(mappings);
    require(mapped != 0 ? mappings.size() == mapped : mappings.size() <= loaded->size());
  }
  return 0;
}
