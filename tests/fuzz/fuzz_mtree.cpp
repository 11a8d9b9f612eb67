// Any text as the answer to `info mtree -f`, and as that to gpa2hva.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/ram_layout.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(swat::daemon::parse_gpa2hva(text));
  const auto blocks = swat::daemon::parse_mtree(text);
  if (!blocks) return 0;
  require(!blocks->empty());
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    require((*blocks)[i].range.start < (*blocks)[i].range.end);
    require(i == 0 || (*blocks)[i - 1].range.end <= (*blocks)[i].range.start);
  }
  return 0;
}
