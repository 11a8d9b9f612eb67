// What system calls are called by an image's stubs: flags, the image's address, of eight bytes, and
// numbers to ask for, of two each; the rest is memory (windows_input.hpp).
#include <array>
#include <cstdint>

#include "osmodels/windows/service_names.hpp"
#include "windows_input.hpp"

namespace swat::fuzz {
namespace {

using namespace os::windows;

constexpr std::uint8_t kNarrow = 1;  // bits of the flags
constexpr std::uint8_t kHasTables = 2;
constexpr std::uint32_t kNumbers = 0x4000;  // of all tables

// What is in no image has a name by the tables, if at all.
const ServiceNames& untaught(std::uint8_t flags) {
  static const ServiceNames of_no_build(nullptr);
  static const ServiceNames of_xp(find_syscall_build("xp_sp3_x86"));
  static const ServiceNames of_10(find_syscall_build("win10_19045_x64"));
  if ((flags & kHasTables) == 0) return of_no_build;
  return (flags & kNarrow) != 0 ? of_xp : of_10;
}

void check_stub(std::span<const std::byte> code, unsigned word_bytes) {
  const auto number = service_of_stub(code, word_bytes);
  require(!number || *number < kNumbers);
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat;
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreMissing);
  Input input(data, size);
  const auto flags = input.take<std::uint8_t>();
  const unsigned word_bytes = (flags & kNarrow) != 0 ? 4 : 8;
  const Va base{input.take<std::uint64_t>()};
  std::array<std::uint16_t, 4> numbers;
  for (std::uint16_t& number : numbers) number = input.take<std::uint16_t>();
  check_stub(input.rest(), word_bytes);
  ram.load(input);
  LowMemory memory(ram);
  os::windows::ServiceNames names = untaught(flags);
  static_cast<void>(names.learn(memory, base, word_bytes));
  require(names.size() <= kNumbers);
  for (const std::uint16_t number : numbers) {
    const auto before = untaught(flags).name(number);
    const auto name = names.name(number);
    if (names.size() == 0) require(name == before);
    require(name.empty() || name == before || name.starts_with("Nt"));
    require(number < kNumbers || name.empty());
  }
  return 0;
}
