// Windows' system calls: where number and arguments stand, and which of them change what is mapped.
//
// Numbers change with every build, and with updates inside a build: names are learned from the
// guest's own DLLs (service_names.hpp).
#pragma once

#include <span>

#include "osmodels/syscall_abi.hpp"

namespace swat::os::windows {

[[nodiscard]] std::span<const SyscallAbi> syscall_abis();
[[nodiscard]] std::span<const EffectRow> syscall_effects();

// Whether it has the form of their names, "NtClose": which there are the guest alone tells.
[[nodiscard]] bool may_be_service(std::string_view name);

}  // namespace swat::os::windows
