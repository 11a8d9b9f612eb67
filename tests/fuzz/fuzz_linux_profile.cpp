// Inference of a profile in a guest that wrote what it liked, and the judgement of one.
#include <cstdint>

#include "linux_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::fuzz;
  static InputRam ram(InputRam::Others::kAreZero);
  Input input(data, size);
  const LinuxInput guest = take_linux(input);
  ram.load(input);
  if (swat::os::check_complete(guest.profile)) judge(ram, guest, guest.profile);
  if (const auto inferred = infer(ram, guest)) judge(ram, guest, inferred->profile);
  return 0;
}
