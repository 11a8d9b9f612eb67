// The structures that a Linux kernel keeps of processes, their mappings and files, by a profile
// that is the input's as well: BTF is the guest's own word.
#include <cstdint>

#include "linux_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreZero);
  Input input(data, size);
  const LinuxInput guest = take_linux(input);
  if (!swat::os::check_complete(guest.profile)) return 0;
  ram.load(input);
  walk_structures(ram, guest);
  return 0;
}
