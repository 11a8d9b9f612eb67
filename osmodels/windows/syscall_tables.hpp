// What builds of Windows call their system calls, by tables: for a guest whose own ntdll and win32u
// cannot be asked, and for people who want to look one up.
//
// A number is not a function of the build number: updates of 10.0.19041 have inserted calls twice.
// So these come last. [facts of public tables; scripts/generate-windows-syscalls]
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace swat::os::windows {

struct SyscallBuild {
  std::string_view name;    // "xp_sp3_x86", "win10_19045_x64"
  std::uint32_t number;     // NtBuildNumber without its flags
  std::uint8_t word_bytes;  // of the kernel: 4, 8
};

// 32-bit ones first, each ascending.
[[nodiscard]] std::span<const SyscallBuild> syscall_builds();

// Null: there is none of that name.
[[nodiscard]] const SyscallBuild* find_syscall_build(std::string_view name);
// The newest that is not newer; null: all are.
[[nodiscard]] const SyscallBuild* syscall_build_near(std::uint32_t number, unsigned word_bytes);

// As the kernel has them: bits 12 and 13 of a number choose the table. [KeServiceDescriptorTable]
enum class SyscallTable : std::uint16_t { kNt = 0, kWin32k = 0x1000 };

// Names by number, from the table's first on; "" where that number has no call.
[[nodiscard]] std::vector<std::string_view> syscall_names(const SyscallBuild& build,
                                                          SyscallTable table);

}  // namespace swat::os::windows
