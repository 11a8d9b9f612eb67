// What a process has loaded, as its own loader (ntdll) keeps it: PEB.Ldr's list in the order of
// loading. It is user memory: any of it may be paged out, in the middle of a change, or a lie.
#pragma once

#include <string>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::windows {

struct LoadedImage {
  Va base;
  std::uint32_t size_bytes = 0;
  Va entry;          // null: none
  std::string path;  // FullDllName: "C:\WINDOWS\system32\ntdll.dll"; UTF-8
};

// Of the process whose memory this is; `peb` is of that word size. Empty: its loader has not begun.
// kFault: some of it is paged out; kBadImage: the list has no end.
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
