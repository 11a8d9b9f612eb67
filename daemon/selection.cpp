#include "daemon/selection.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "osmodels/linux/syscalls.hpp"
#include "osmodels/windows/syscalls.hpp"

namespace swat::daemon {
namespace {

constexpr std::string_view kAll = "all";
constexpr std::string_view kNone = "none";

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (auto end = text.find(separator); end != text.npos; end = text.find(separator)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

// How many letters must be put in, taken out or replaced to make `b` of `a`. [Levenshtein]
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

Result<> check_name(std::string_view name) {
  constexpr std::size_t kLongest = 64;  // of anything that can be a name
  if (name.size() > kLongest) return fail(Errc::kUsage, "a system call's name is not that long");
  const auto known = os::linux_os::syscall_names();
  if (std::ranges::find(known, name) != known.end()) return {};
  if (os::windows::may_be_service(name)) return {};
  const auto nearest = std::ranges::min_element(
      known, {}, [&](std::string_view candidate) { return distance(name, candidate); });
  return fail(Errc::kUsage, "there is no system call '" + std::string(name) +
                                "'; the nearest is '" + std::string(*nearest) + "'");
}

Result<std::uint32_t> parse_pid(std::string_view text) {
  constexpr std::uint32_t kMost = 1U << 22;  // [include/linux/threads.h, PID_MAX_LIMIT]
  std::uint32_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc{} || end != text.data() + text.size() || pid == 0 || pid > kMost) {
    return fail(Errc::kUsage, "no process has the number " + std::string(text));
  }
  return pid;
}

}  // namespace

Result<SyscallFilter> SyscallFilter::parse(std::string_view text) {
  constexpr std::string_view kKeyword = "trace=";
  if (text.starts_with(kKeyword)) text.remove_prefix(kKeyword.size());
  SyscallFilter filter;
  filter.all_but_ = text.starts_with('!');
  if (filter.all_but_) text.remove_prefix(1);
  if (text == kAll || text == kNone) {
    filter.all_but_ = filter.all_but_ != (text == kAll);
    return filter;
  }
  for (const std::string_view word : split(text, ',')) {
    if (word.starts_with('%')) {
      const auto* known = os::linux_os::find_syscall_class(word.substr(1));
      if (known == nullptr) {
        return fail(Errc::kUsage, "there is no class of system calls " + std::string(word));
      }
      filter.names_.insert(known->members.begin(), known->members.end());
      continue;
    }
    SWAT_CHECK(check_name(word));
    filter.names_.emplace(word);
  }
  return filter;
}

Result<CallFilter> CallFilter::parse(std::span<const std::string> texts) {
  CallFilter filter;
  if (texts.empty() || (texts.size() == 1 && texts.front() == kAll)) return filter;
  filter.all_ = false;
  if (texts.size() == 1 && texts.front() == kNone) return filter;
  for (const std::string& text : texts) {
    if (text == kAll || text == kNone) {
      return fail(Errc::kUsage, "--calls " + text + " goes with no other");
    }
    filter.patterns_.push_back(SWAT_TRY(FunctionPattern::parse(text)));
  }
  return filter;
}

bool CallFilter::wants_one(std::string_view module, std::string_view function) const {
  return std::ranges::any_of(patterns_, [&](const FunctionPattern& pattern) {
    return pattern.matches_function(function) && (module.empty() || pattern.matches_module(module));
  });
}

bool CallFilter::wants(std::string_view module, std::string_view function) const {
  return all_ || std::ranges::any_of(split(function, '|'),
                                     [&](std::string_view one) { return wants_one(module, one); });
}

Result<ProcessFilter> ProcessFilter::parse(std::span<const std::string> texts, bool follow) {
  ProcessFilter filter;
  filter.follow = follow;
  for (const std::string& text : texts) {
    if (text.empty()) return fail(Errc::kUsage, "-p needs a process number or a name");
    if (text.find_first_not_of("0123456789") == std::string::npos) {
      filter.pids.insert(SWAT_TRY(parse_pid(text)));
    } else {
      filter.names.insert(text);
    }
  }
  return filter;
}

}  // namespace swat::daemon
