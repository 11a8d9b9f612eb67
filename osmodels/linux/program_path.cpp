#include "osmodels/linux/program_path.hpp"

#include <algorithm>
#include <vector>

namespace swat::os {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLongest = 4096;  // PATH_MAX
// vDSO, vectors and the like may be above the stack.
constexpr std::size_t kMostPages = 64;

bool is_text(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c >= ' ' && c != 0x7f; });
}

// The string that ends in `word_bytes` zeros, and its own, at `end`; another one ends before it.
std::optional<std::string> last_string(VirtualMemory& memory, Va end, unsigned word_bytes) {
  const std::uint64_t zeros = std::uint64_t{word_bytes} + 1;
  for (const std::uint64_t size : {kPage, kPage + kLongest}) {
    const auto raw = read_bytes(memory, end - size, size);
    if (!raw) return {};
    const std::string_view bytes(reinterpret_cast<const char*>(raw->data()), raw->size());
    if (bytes.substr(size - zeros).find_first_not_of('\0') != bytes.npos) return {};
    const std::string_view text = bytes.substr(0, size - zeros);
    const auto before = text.rfind('\0');
    if (before == text.npos) continue;  // it begins in the page before
    const std::string_view path = text.substr(before + 1);
    if (path.empty() || path.ends_with('/') || !is_text(path)) return {};
    return std::string(path);
  }
  return {};
}

}  // namespace

std::optional<ProgramPath> find_program_path(VirtualMemory& memory, const UserPages& pages,
                                             unsigned word_bytes) {
  std::size_t tries = 0;
  for (auto page = pages.rbegin(); page != pages.rend() && tries < kMostPages; ++page, ++tries) {
    const Va end = page->first + kPage;
    if (pages.contains(end)) continue;
    if (auto path = last_string(memory, end, word_bytes)) return ProgramPath{*std::move(path), end};
  }
  return {};
}

std::string_view command_name(std::string_view path) {
  constexpr std::size_t kCommLetters = 15;
  return path.substr(path.find_last_of('/') + 1).substr(0, kCommLetters);
}

}  // namespace swat::os
