#include <cstdint>
#include <cstdlib>

#include "gdbproto/device_state.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  for (const bool is_64_bit : {true, false}) {
    const auto vcpus = swat::gdbproto::parse_x86_device_state(file, is_64_bit);
    if (vcpus && vcpus->empty()) std::abort();
  }
  return 0;
}
