#include "osmodels/syscall_abi.hpp"

#include <algorithm>

#include "osmodels/linux/syscalls.hpp"
#include "osmodels/windows/syscalls.hpp"

namespace swat::os {

const SyscallAbi* find_abi(SyscallEntry::Kind entry) {
  for (const auto abis : {linux_os::syscall_abis(), windows::syscall_abis()}) {
    const auto abi = std::ranges::find(abis, entry, &SyscallAbi::entry);
    if (abi != abis.end()) return &*abi;
  }
  return nullptr;
}

std::string_view syscall_name(const SyscallAbi& abi, std::uint64_t number) {
  if (number < abi.names.size()) return abi.names[number];
  for (const NumberRange& range : abi.more_names) {
    const std::uint64_t index = number - range.base;
    if (number >= range.base && index < range.names.size()) return range.names[index];
  }
  return {};
}

namespace {

const EffectRow* find_effect(std::string_view name) {
  for (const auto rows : {linux_os::syscall_effects(), windows::syscall_effects()}) {
    const auto row = std::ranges::find(rows, name, &EffectRow::name);
    if (row != rows.end()) return &*row;
  }
  return nullptr;
}

}  // namespace

Effect effect_of(std::string_view name) {
  const EffectRow* const row = find_effect(name);
  return row == nullptr ? Effect::kNone : row->effect;
}

Effect effect_of(std::string_view name, std::optional<std::uint64_t> first, unsigned word_bytes) {
  const EffectRow* const row = find_effect(name);
  if (row == nullptr) return Effect::kNone;
  const std::uint64_t mask = word_bytes == 8 ? ~std::uint64_t{0} : 0xffffffff;
  const bool has_it =
      !row->first || (first && *first == (static_cast<std::uint64_t>(*row->first) & mask));
  return has_it ? row->effect : Effect::kNone;
}

}  // namespace swat::os
