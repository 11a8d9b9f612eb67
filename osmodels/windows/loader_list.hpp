// What a process has loaded, as its own loader (ntdll) keeps it: PEB.Ldr's list in the order of
// loading. It is user memory: any of it may be paged out, in the middle of a change, or a lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::windows {

// Where addresses of processes end, or before that: 64-bit ones have had 8 TiB until 8.1.
[[nodiscard]] constexpr std::uint64_t user_end(unsigned word_bytes) {
  return std::uint64_t{1} << (word_bytes == 8 ? 47 : 32);
}

// Of the images of one process in all: a long path may be that of thousands of entries.
inline constexpr std::size_t kMostPathBytes = 4 << 20;

struct LoadedImage {
  Va base;
  std::uint32_t size_bytes = 0;
  Va entry;          // null: none
  std::string path;  // FullDllName: "C:\WINDOWS\system32\ntdll.dll"; UTF-8
};

// Of the process whose memory this is; `peb` is of that word size. Empty: its loader has not begun.
// What is in no process's addresses is left out. kFault: some of it is paged out; kBadImage: the
// list has no end, or more than kMostPathBytes.
[[nodiscard]] Result<std::vector<LoadedImage>> read_loader_list(VirtualMemory& memory, Va peb,
                                                                unsigned word_bytes);

// The 32-bit PEB of a 32-bit process on a 64-bit kernel, whose EPROCESS has `wow64`: that PEB
// itself (6.1 to 10.0.10240), or an object of the kernel's that begins with it.
// [PsGetProcessWow64Process; WOW64_PROCESS, EWOW64PROCESS] kBadImage: neither.
[[nodiscard]] Result<Va> find_peb32(VirtualMemory& kernel, Va wow64);

// A UNICODE_STRING as UTF-8; what is no UTF-16 becomes U+FFFD.
[[nodiscard]] Result<std::string> read_unicode_string(VirtualMemory& memory, Va at,
                                                      unsigned word_bytes);

}  // namespace swat::os::windows
