#include "symbols/vmcoreinfo.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

// VMCOREINFO_BYTES is one page; the largest page of any Linux is 64 KiB. [linux/crash_core.h]
constexpr std::size_t kMaxTextBytes = 64 << 10;
// linux_banner is at most a few uts fields of 65 bytes and the compiler's name. [init/version.c]
constexpr std::size_t kMaxBannerBytes = 1024;

bool is_printable(char c) { return c >= ' ' && c <= '~'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// All of `digits`, or nothing.
std::optional<std::uint64_t> parse_number(std::string_view digits, int base) {
  std::uint64_t value = 0;
  const char* const end = std::to_address(digits.end());
  const auto [stop, error] = std::from_chars(std::to_address(digits.begin()), end, value, base);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

std::string entry(std::string_view kind, std::string_view name) {
  return std::string(kind).append("(").append(name).append(")");
}

// Offsets where `prefix` stands with a digit behind it: the text itself, not its format string.
std::size_t find_versioned(std::string_view text, std::string_view prefix, std::size_t from) {
  for (std::size_t at = text.find(prefix, from); at != std::string_view::npos;
       at = text.find(prefix, at + 1)) {
    const std::size_t digit = at + prefix.size();
    if (digit < text.size() && is_digit(text[digit])) return at;
  }
  return std::string_view::npos;
}

}  // namespace

Result<Vmcoreinfo> Vmcoreinfo::parse(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  if (text.size() > kMaxTextBytes) return fail(Errc::kBadImage, "VMCOREINFO without an end");
  Vmcoreinfo info;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.empty()) continue;
    const std::size_t equals = line.find('=');
    if (equals == 0 || equals == std::string_view::npos || !std::ranges::all_of(line, is_printable))
      return fail(Errc::kBadImage, "line of VMCOREINFO that is not key=value");
    info.lines_.try_emplace(std::string(line.substr(0, equals)), line.substr(equals + 1));
  }
  const auto release = info.lines_.find("OSRELEASE");
  if (release == info.lines_.end()) return fail(Errc::kBadImage, "VMCOREINFO without OSRELEASE");
  info.os_release_ = release->second;
  return info;
}

Result<Vmcoreinfo> Vmcoreinfo::find(const KernelImage& image) {
  const std::string_view text = as_text(image.bytes);
  for (std::size_t at = find_versioned(text, "OSRELEASE=", 0); at != std::string_view::npos;
       at = find_versioned(text, "OSRELEASE=", at + 1)) {
    const std::string_view rest = text.substr(at, kMaxTextBytes);
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) continue;
    auto info = parse(rest.substr(0, end));
    // Every kernel that writes the text writes this symbol. [kernel/crash_core.c, 2.6.24 on]
    if (info && info->symbol("_stext")) return info;
  }
  return fail(Errc::kNotFound, "no VMCOREINFO in the image");
}

std::optional<Va> Vmcoreinfo::symbol(std::string_view name) const {
  const auto value = text(entry("SYMBOL", name));
  if (!value) return std::nullopt;
  const auto address = parse_number(*value, 16);
  return address ? std::optional(Va{*address}) : std::nullopt;
}

// Written with %ld, on arm64 with 0x%llx. [arch/*/kernel/crash_core.c]
std::optional<std::uint64_t> Vmcoreinfo::number(std::string_view name) const {
  auto value = text(entry("NUMBER", name));
  if (!value) return std::nullopt;
  if (value->starts_with("0x")) return parse_number(value->substr(2), 16);
  const bool negative = value->starts_with('-');
  const auto magnitude = parse_number(value->substr(negative ? 1 : 0), 10);
  if (!magnitude || !negative) return magnitude;
  return 0 - *magnitude;
}

std::optional<std::string_view> Vmcoreinfo::text(std::string_view key) const {
  const auto found = lines_.find(key);
  if (found == lines_.end()) return std::nullopt;
  return found->second;
}

Result<std::string> find_linux_banner(const KernelImage& image) {
  const std::string_view text = as_text(image.bytes);
  for (std::size_t at = find_versioned(text, "Linux version ", 0); at != std::string_view::npos;
       at = find_versioned(text, "Linux version ", at + 1)) {
    const std::string_view line = text.substr(at, kMaxBannerBytes);
    const std::size_t end = line.find('\n');
    if (end == std::string_view::npos) continue;
    if (std::ranges::all_of(line.substr(0, end), is_printable)) return std::string(line, 0, end);
  }
  return fail(Errc::kNotFound, "no Linux banner in the image");
}

}  // namespace swat::symbols
