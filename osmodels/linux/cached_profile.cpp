#include "osmodels/linux/cached_profile.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <map>

namespace swat::os {
namespace {

constexpr std::string_view kHeader = "swatd profile 1";
constexpr std::string_view kEnd = "end ";

// FNV-1a. [http://www.isthe.com/chongo/tech/comp/fnv/]
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 17> text;
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

Result<std::uint64_t> number_in(const std::map<std::string, std::string, std::less<>>& lines,
                                std::string_view name) {
  const auto line = lines.find(name);
  if (line == lines.end()) return fail(Errc::kNotFound, "no " + std::string(name));
  const std::string& digits = line->second;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return fail(Errc::kBadImage, std::string(name) + " is no number");
  }
  return value;
}

Result<MemberOffset> offset_in(const std::map<std::string, std::string, std::less<>>& lines,
                               std::string_view name) {
  constexpr std::uint64_t kLargestStructure = 1 << 16;
  const auto value = number_in(lines, name);
  if (!value && value.error().code == Errc::kNotFound) return MemberOffset{};
  if (!value) return tl::unexpected(value.error());
  if (*value >= kLargestStructure) return fail(Errc::kBadImage, std::string(name) + " too large");
  return MemberOffset{static_cast<std::uint32_t>(*value)};
}

// "name value" lines between the header and the end, whose hash is right.
Result<std::map<std::string, std::string, std::less<>>> lines_of(std::string_view text) {
  const std::size_t end = text.rfind(kEnd);
  if (!text.starts_with(kHeader) || end == std::string_view::npos ||
      text.substr(end) != std::string(kEnd) + hexadecimal(hash_of(text.substr(0, end))) + "\n") {
    return fail(Errc::kBadImage, "cut off or changed");
  }
  std::map<std::string, std::string, std::less<>> lines;
  std::size_t at = text.find('\n') + 1;
  while (at < end) {
    const std::size_t stop = text.find('\n', at);
    const std::string_view line = text.substr(at, stop - at);
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || stop >= end) {
      return fail(Errc::kBadImage, "a line without a value");
    }
    lines.emplace(line.substr(0, space), line.substr(space + 1));
    at = stop + 1;
  }
  return lines;
}

}  // namespace

std::string profile_key(std::string_view banner, std::optional<std::string_view> build_id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr std::size_t kLongest = 128;
  const bool usable = build_id && build_id->size() >= 16 && build_id->size() <= kLongest &&
                      build_id->find_first_not_of(kDigits) == std::string_view::npos;
  return usable ? std::string(*build_id) : "banner-" + hexadecimal(hash_of(banner));
}

std::string to_text(const CachedProfile& cached, std::string_view banner) {
  std::string text(kHeader);
  const auto add = [&](std::string_view name, std::string_view value) {
    text += "\n" + std::string(name) + " " + std::string(value);
  };
  const LinuxProfile& profile = cached.profile;
  add("banner", banner);
  add("source", profile.source);
  add("word_bytes", std::to_string(profile.layout.word_bytes));
  add("list_of_tasks", profile.task_list_of_tasks ? "1" : "0");
  add("init_task", std::to_string(cached.init_task));
  if (cached.clock) {
    add("clock", std::to_string(cached.clock->timekeeper.value));
    add("clock_seconds", std::to_string(cached.clock->seconds));
    add("clock_nanoseconds", std::to_string(cached.clock->nanoseconds));
    add("clock_shift", std::to_string(cached.clock->shift));
  }
  for (const ProfileField& field : profile_fields()) {
    const MemberOffset& offset = profile.*field.member;
    if (offset) add(field.name, std::to_string(*offset));
  }
  text += '\n';
  return text + std::string(kEnd) + hexadecimal(hash_of(text)) + "\n";
}

Result<CachedProfile> parse_cached_profile(std::string_view text, std::string_view banner,
                                           const KernelLayout& layout) {
  const auto lines = SWAT_TRY(lines_of(text));
  const auto is = [&](std::string_view name, std::string_view value) {
    const auto line = lines.find(name);
    return line != lines.end() && line->second == value;
  };
  if (!is("banner", banner) || !is("word_bytes", std::to_string(layout.word_bytes))) {
    return fail(Errc::kNotFound, "of another kernel");
  }
  CachedProfile cached;
  cached.profile.source = is("source", "BTF") ? "BTF" : "inference";
  cached.profile.layout = layout;
  cached.profile.task_list_of_tasks = is("list_of_tasks", "1");
  cached.init_task = SWAT_TRY(number_in(lines, "init_task"));
  if (lines.contains("clock")) {
    ClockLayout clock{Va{SWAT_TRY(number_in(lines, "clock"))}};
    clock.seconds = SWAT_TRY(offset_in(lines, "clock_seconds")).value_or(0);
    clock.nanoseconds = SWAT_TRY(offset_in(lines, "clock_nanoseconds")).value_or(0);
    clock.shift = SWAT_TRY(offset_in(lines, "clock_shift")).value_or(0);
    cached.clock = clock;
  }
  for (const ProfileField& field : profile_fields()) {
    cached.profile.*field.member = SWAT_TRY(offset_in(lines, field.name));
  }
  SWAT_CHECK(check_complete(cached.profile));
  return cached;
}

}  // namespace swat::os
