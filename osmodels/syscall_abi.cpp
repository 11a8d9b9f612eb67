#include "osmodels/syscall_abi.hpp"

#include <algorithm>

#include "osmodels/linux/syscalls.hpp"

namespace swat::os {

const SyscallAbi* find_abi(SyscallEntry::Kind entry) {
  const auto abis = linux_os::syscall_abis();
  const auto abi = std::ranges::find(abis, entry, &SyscallAbi::entry);
  return abi == abis.end() ? nullptr : &*abi;
}

std::string_view syscall_name(const SyscallAbi& abi, std::uint64_t number) {
  if (number < abi.names.size()) return abi.names[number];
  for (const NumberRange& range : abi.more_names) {
    const std::uint64_t index = number - range.base;
    if (number >= range.base && index < range.names.size()) return range.names[index];
  }
  return {};
}

Effect effect_of(std::string_view name) {
  const auto rows = linux_os::syscall_effects();
  const auto row = std::ranges::find(rows, name, &EffectRow::name);
  return row == rows.end() ? Effect::kNone : row->effect;
}

}  // namespace swat::os
