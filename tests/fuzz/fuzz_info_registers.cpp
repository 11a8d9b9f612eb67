// Any text as the answer to `info registers`.
#include <cstdint>
#include <string_view>

#include "daemon/stopped_guest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static_cast<void>(
      swat::daemon::parse_info_registers({reinterpret_cast<const char*>(data), size}));
  return 0;
}
