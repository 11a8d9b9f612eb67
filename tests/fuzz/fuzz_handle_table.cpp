// From a handle to the object that it stands for, and what that is called: what windows_input.hpp
// takes; an EPROCESS, the System process, where the kernel has pointers to its types, and a handle,
// of eight bytes each; EPROCESS.ObjectTable, of two. The rest is memory.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "osmodels/windows/handle_table.hpp"
#include "osmodels/windows/kernel_objects.hpp"
#include "utf8.hpp"
#include "windows_input.hpp"

namespace swat::fuzz {
namespace {

using namespace os::windows;

struct HandleInput {
  Va process;
  Va system;
  Va types;
  std::uint64_t handle;
  std::uint32_t table_at;
};

HandleInput take_handle(Input& input) {
  HandleInput taken{};
  taken.process = Va{input.take<std::uint64_t>()};
  taken.system = Va{input.take<std::uint64_t>()};
  taken.types = Va{input.take<std::uint64_t>()};
  taken.handle = input.take<std::uint64_t>();
  taken.table_at = input.take<std::uint16_t>();
  return taken;
}

void find_table(const KernelSpace& space, const HandleTableShape& shape, Va object) {
  constexpr std::uint32_t kProcessBytes = 0xb80;
  const auto process = read_process(space, object);
  if (!process) return;
  const auto found = HandleTable::find_table(space, shape, {&*process, 1});
  if (!found) return require(found.error().code == Errc::kNotFound);
  require(*found % space.word_bytes == 0 && *found < kProcessBytes);
  const auto table = read_pointer(space.memory, object + *found, space.word_bytes);
  require(table && space.is_pointer(Va{*table}));
  const auto owner = read_pointer(space.memory, Va{*table} + shape.quota_process, space.word_bytes);
  require(owner && Va{*owner} == object);
}

void describe(const KernelSpace& space, const ObjectShape& shape, const HandleInput& input,
              Va header) {
  Va next = input.types;
  const auto find_export = [&](std::string_view) -> std::optional<Va> {
    return std::exchange(next, next + space.word_bytes);
  };
  const auto drive_of = [](Va device) { return device.value % 2 == 0 ? "C:" : std::string(); };
  KernelObjects objects(space, shape, find_export, input.system, drive_of);
  const auto what = objects.describe(header);
  if (!what) {
    require(what.error().code == Errc::kFault || what.error().code == Errc::kBadImage);
    return;
  }
  require(is_utf8(what->type));
  require(what->type == "Process" || is_utf8(what->name));
  require(std::max(what->type.size(), what->name.size()) <= KernelObjects::kMostBytes);
}

void look_up(const WindowsInput& guest, const KernelSpace& space, const HandleInput& input) {
  const auto* const shape = find_handle_table_shape(guest.build, guest.word_bytes);
  const auto* const objects = find_object_shape(guest.build, guest.word_bytes);
  if (shape == nullptr || objects == nullptr) return;
  find_table(space, *shape, input.process);
  const HandleTable table(space, *shape, input.table_at);
  const auto header = table.header_of(input.process, input.handle);
  if (!header) {
    require(header.error().code == Errc::kNotFound || header.error().code == Errc::kFault);
    return;
  }
  require(space.is_pointer(*header) && input.handle >= 4);
  require(table.header_of(input.process, input.handle ^ 3) == *header);
  describe(space, *objects, input, *header);
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  const WindowsInput guest = take_windows(input);
  const HandleInput handle = take_handle(input);
  ram.load(input);
  LowMemory memory(ram);
  const auto space = guest.space(memory);
  look_up(guest, space, handle);
  return 0;
}
