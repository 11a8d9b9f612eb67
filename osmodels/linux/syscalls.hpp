// Linux syscall ABIs: what each number is called, and which calls change what is mapped.
//
// Numbers are append-only within an ABI, so one table serves all kernel versions.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "osmodels/syscall_abi.hpp"

namespace swat::os::linux_os {

// Every way into a Linux kernel.
[[nodiscard]] std::span<const SyscallAbi> syscall_abis();
[[nodiscard]] std::span<const EffectRow> syscall_effects();

// "execve".
[[nodiscard]] std::string_view plain_name(std::string_view name);

// Every plain name of every ABI, each at least once.
[[nodiscard]] std::vector<std::string_view> syscall_names();

// What strace selects by %name. [strace(1), "-e trace=syscall_set"]
struct SyscallClass {
  std::string_view name;  // without the percent sign
  std::span<const std::string_view> members;
};
// Null: there is none of that name.
[[nodiscard]] const SyscallClass* find_syscall_class(std::string_view name);

// How a syscall returns.
enum class Return {
  kOnce,
  kTwice,       // fork and its kin: in the caller, and in a new thread
  kInNewImage,  // execve, when it succeeds
  kElsewhere,   // sigreturn: to where a signal had come
  kNever,       // exit, exit_group
};
[[nodiscard]] Return return_of(std::string_view name);

}  // namespace swat::os::linux_os
