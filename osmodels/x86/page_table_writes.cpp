#include "osmodels/x86/page_table_writes.hpp"

#include <algorithm>

namespace swat::os::x86 {
namespace {

constexpr std::uint64_t kMaxText = 64 << 20;
constexpr std::uint64_t kPage = 4096;
// 0f 22 /3 with a register: mov %reg, %cr3; a REX byte goes before it. [Intel SDM 2B, MOV-Move
// to/from Control Registers]
constexpr std::byte kFirst{0x0f};
constexpr std::byte kSecond{0x22};
constexpr std::byte kThird{0xd8};
constexpr std::byte kThirdMask{0xf8};
constexpr std::size_t kSize = 3;

// Of two bytes: jmp rel8, forwards.
constexpr std::byte kShortJump{0xeb};
constexpr std::uint64_t kLongestShortJump = 2 + 127;

bool is_jumped_over(VirtualMemory& kernel, Va end) {
  std::array<std::byte, kLongestShortJump> code{};
  const Va start = end - kLongestShortJump;
  if (!kernel.read(start, code)) return false;
  for (std::size_t i = 0; i + kSize + 2 <= code.size(); ++i) {
    const auto distance = std::to_integer<std::size_t>(code[i + 1]);
    if (code[i] == kShortJump && i + 2 + distance == code.size()) return true;
  }
  return false;
}

}  // namespace

std::vector<Va> ends_of_page_table_writes(VirtualMemory& kernel, VaRange text) {
  std::vector<Va> ends;
  const std::uint64_t size = std::min(text.end > text.start ? text.end - text.start : 0, kMaxText);
  // A page, behind the last bytes of the one before it.
  std::vector<std::byte> code(kSize - 1 + kPage);
  for (std::uint64_t offset = 0; offset < size; offset += kPage) {
    const Va page = text.start + offset;
    std::copy(code.end() - (kSize - 1), code.end(), code.begin());
    const std::size_t length = std::min(kPage, size - offset);
    const auto fresh = std::span(code).subspan(kSize - 1);
    std::fill(fresh.begin(), fresh.end(), std::byte{0});
    if (!kernel.read(page, fresh.first(length))) continue;
    for (std::size_t i = 0; i + kSize <= code.size(); ++i) {
      if (code[i] != kFirst || code[i + 1] != kSecond) continue;
      if ((code[i + 2] & kThirdMask) == kThird) ends.push_back(page + (i + 1));
    }
  }
  std::erase_if(ends, [&](Va end) { return is_jumped_over(kernel, end); });
  return ends;
}

}  // namespace swat::os::x86
