#include "osmodels/windows/code_search.hpp"

#include <algorithm>
#include <array>

namespace swat::os::windows {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kLongest = 16;

}  // namespace

std::vector<Va> find_code(VirtualMemory& memory, const VaRange& range,
                          std::span<const std::uint8_t> bytes, std::size_t most) {
  std::vector<Va> found;
  const auto wanted = std::as_bytes(bytes);
  std::array<std::byte, kPage + kLongest> page{};
  for (Va at = range.start.aligned_down(kPage); at < range.end && found.size() < most;
       at = at + kPage) {
    // With the start of the next one, which may be absent.
    std::span<std::byte> code(page.data(), kPage + wanted.size() - 1);
    if (!memory.read(at, code)) {
      code = code.first(kPage);
      if (!memory.read(at, code)) continue;
    }
    for (auto place = code.begin(); found.size() < most; ++place) {
      place = std::search(place, code.end(), wanted.begin(), wanted.end());
      if (place == code.end()) break;
      const Va where = at + static_cast<std::uint64_t>(place - code.begin());
      if (range.contains(where)) found.push_back(where);
    }
  }
  return found;
}

}  // namespace swat::os::windows
