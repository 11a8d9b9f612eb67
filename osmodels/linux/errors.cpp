#include "osmodels/linux/errors.hpp"

#include <algorithm>
#include <iterator>

namespace swat::os::linux_os {
namespace {

struct NumberedName {
  std::int64_t number;
  std::string_view name;
};

// By number. The errors of user space are the same for all architectures that swatd knows.
constexpr NumberedName kErrors[] = {
#include "osmodels/linux/errno_names.inc"
};

// Never seen by user space, by number. [include/linux/errno.h]
constexpr NumberedName kRestarts[] = {
    {512, "ERESTARTSYS"},
    {513, "ERESTARTNOINTR"},
    {514, "ERESTARTNOHAND"},
    {516, "ERESTART_RESTARTBLOCK"},
};

template <std::size_t N>
std::string_view name_in(const NumberedName (&rows)[N], std::int64_t number) {
  const auto* const row = std::ranges::lower_bound(rows, number, {}, &NumberedName::number);
  return row != std::end(rows) && row->number == number ? row->name : std::string_view{};
}

}  // namespace

std::string_view error_name(std::int64_t result) {
  constexpr std::int64_t kLargest = 4095;  // [include/linux/err.h, MAX_ERRNO]
  if (result >= 0 || result < -kLargest) return {};
  const std::string_view name = name_in(kErrors, -result);
  return name.empty() ? name_in(kRestarts, -result) : name;
}

bool is_restart(std::int64_t result) {
  constexpr std::int64_t kFirst = -516;
  constexpr std::int64_t kLast = -512;
  return result >= kFirst && result <= kLast && !name_in(kRestarts, -result).empty();
}

}  // namespace swat::os::linux_os
