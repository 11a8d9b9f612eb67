// NT's ring of processes, and who runs: what windows_input.hpp takes, the System process and a
// KPCR, of eight bytes each; the rest is memory.
#include <cstdint>
#include <unordered_set>

#include "windows_input.hpp"

namespace swat::fuzz {
namespace {

using namespace os::windows;

bool is_of_the_walk(const Error& error) {
  return error.code == Errc::kBadImage || error.code == Errc::kFault;
}

void check(const KernelSpace& space, const ProcessEntry& entry) {
  const os::Process& process = entry.process;
  require(process.name.size() <= kImageNameBytes);
  require(process.name.find('\0') == std::string::npos);
  require(process.page_table && process.page_table->value % os::root_bytes(space.geometry) == 0);
  require(process.key == os::ProcessKey{process.pid});
  require(process.is_32_bit || space.word_bytes == 8);
  require(process.is_32_bit == (space.word_bytes == 4 || !entry.wow64.is_null()));
}

void walk(const KernelSpace& space, Va system) {
  const auto ring = read_ring(space, system);
  if (!ring) return require(is_of_the_walk(ring.error()));
  require(!ring->empty() && ring->front().process.object == system);
  std::unordered_set<Va> seen;
  for (const ProcessEntry& entry : *ring) {
    const Va object = entry.process.object;
    require(seen.insert(object).second && space.is_pointer(object));
    require(!space.image.contains(object + *space.offsets.process_links));
    check(space, entry);
  }
}

void look_at_processor(const KernelSpace& space, Va kpcr) {
  const auto thread = read_current(space, kpcr);
  if (!thread) return require(is_of_the_walk(thread.error()));
  const auto process = read_process(space, thread->process.object);
  require(process && process->process.pid == thread->process.pid);
  check(space, *process);
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  const WindowsInput guest = take_windows(input);
  const Va system{input.take<std::uint64_t>()};
  const Va kpcr{input.take<std::uint64_t>()};
  ram.load(input);
  LowMemory memory(ram);
  const auto space = guest.space(memory);
  walk(space, system);
  look_at_processor(space, kpcr);
  return 0;
}
