#include "daemon/exec_log_parser.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

namespace swat::daemon {
namespace {

constexpr std::string_view kTrace = "Trace ";
constexpr std::string_view kStopped = "Stopped execution of TB chain before ";
constexpr std::string_view kPageTable = "CR3 update: CR3=";
// What `exec` and `mmu` print besides, and what nobody here needs.
constexpr std::string_view kNoise[] = {"Linking TBs ",
                                       "cpu_io_recompile: ", "CR0 update: ", "CR4 update: "};

constexpr std::int8_t kNoDigit = -1;
constexpr std::array<std::int8_t, 256> kDigits = [] {
  std::array<std::int8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (int i = 0; i < 16; ++i)
    digits[static_cast<unsigned char>("0123456789abcdef"[i])] = static_cast<std::int8_t>(i);
  return digits;
}();

// Takes a number of 1 to 16 hex digits, and `end` behind it, off `text`. This is the hot path:
// from_chars takes three times as long.
bool take_hex(std::string_view& text, char end, std::uint64_t& value) {
  value = 0;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    const std::int8_t digit = kDigits[static_cast<unsigned char>(text[i])];
    if (digit == kNoDigit) break;
    value = value << 4 | static_cast<std::uint8_t>(digit);
  }
  if (i == 0 || i > 16 || i == text.size() || text[i] != end) return false;
  text.remove_prefix(i + 1);
  return true;
}

// Takes everything up to and with `end` off `text`.
bool skip_to(std::string_view& text, char end) {
  const auto* at = static_cast<const char*>(std::memchr(text.data(), end, text.size()));
  if (at == nullptr) return false;
  text.remove_prefix(static_cast<std::size_t>(at - text.data()) + 1);
  return true;
}

std::optional<TraceLine> parse_trace(std::string_view text) {
  TraceLine line;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), line.vcpu);
  if (error != std::errc{}) return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  std::uint64_t base = 0;
  std::uint64_t flags = 0;
  if (!skip_to(text, '[') || !take_hex(text, '/', base) || !take_hex(text, '/', line.pc.value) ||
      !take_hex(text, '/', flags)) {
    return {};
  }
  line.flags = static_cast<std::uint32_t>(flags);
  return line;
}

std::optional<Va> parse_stopped(std::string_view text) {
  Va pc;
  if (!skip_to(text, '[') || !take_hex(text, ']', pc.value)) return {};
  return pc;
}

std::optional<std::uint64_t> parse_page_table(std::string_view text) {
  std::uint64_t cr3 = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cr3, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return cr3;
}

}  // namespace

void ExecLogParser::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto* newline = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
    const std::size_t size =
        newline == nullptr ? bytes.size() : static_cast<std::size_t>(newline - bytes.data());
    const std::string_view piece = bytes.substr(0, size);
    if (!skipping_ && begun_.size() + piece.size() > kMaxLineBytes) {
      skipping_ = true;
      begun_.clear();
      ++bad_lines_;
    }
    if (newline == nullptr) {
      if (!skipping_) begun_.append(piece);
      return;
    }
    bytes.remove_prefix(size + 1);
    if (std::exchange(skipping_, false)) continue;
    if (begun_.empty()) {
      line(piece);
    } else {
      begun_.append(piece);
      line(begun_);
      begun_.clear();
    }
  }
}

void ExecLogParser::line(std::string_view text) {
  if (!known(text)) ++bad_lines_;
}

// False: it begins like a line of ours, and goes on otherwise.
bool ExecLogParser::known(std::string_view text) {
  if (text.starts_with(kTrace)) {
    const auto trace = parse_trace(text.substr(kTrace.size()));
    if (!trace) return false;
    ++traces_;
    listener_.on_trace(*trace);
    return true;
  }
  if (text.starts_with(kStopped)) {
    const auto pc = parse_stopped(text.substr(kStopped.size()));
    if (pc) listener_.on_stopped_before(*pc);
    return pc.has_value();
  }
  if (text.starts_with(kPageTable)) {
    const auto cr3 = parse_page_table(text.substr(kPageTable.size()));
    if (cr3) listener_.on_page_table(*cr3);
    return cr3.has_value();
  }
  for (const std::string_view noise : kNoise) {
    if (text.starts_with(noise)) return true;
  }
  if (!text.empty()) listener_.on_other(text);
  return true;
}

}  // namespace swat::daemon
