// What the numbers of system calls are called, as the guest's own DLLs say: functions that
// ntdll.dll and win32u.dll export begin with the number that they call the kernel with.
//
// Numbers change with every build and with updates inside one, so no table is certain: they serve
// for calls of win32k where the system has no win32u.dll (until 10.0.10586), and until a DLL of
// some process is paged in.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "osmodels/windows/syscall_tables.hpp"
#include "symbols/memory.hpp"

namespace swat::os::windows {

// Bytes from a stub's start that tell its number.
inline constexpr std::size_t kStubBytes = 16;

// The number that the stub calls; nullopt: it is none that this knows.
[[nodiscard]] std::optional<std::uint32_t> service_of_stub(std::span<const std::byte> code,
                                                           unsigned word_bytes);

class ServiceNames {
 public:
  // `build`: whose tables to take; null for none.
  explicit ServiceNames(const SyscallBuild* build);

  // Whether functions of the DLL with that path are system calls.
  [[nodiscard]] static bool are_in(std::string_view path);

  // Takes what the image at `base` exports, if its words are so wide. False: some of it is paged
  // out, or it is no image; another process may have it.
  bool learn(VirtualMemory& memory, Va base, unsigned word_bytes);

  // "": not known.
  [[nodiscard]] std::string_view name(std::uint64_t number) const;
  [[nodiscard]] std::size_t size() const { return names_.size(); }

 private:
  // Of nt and of win32k: bits 12 and 13 of a number.
  static constexpr std::size_t kTables = 2;
  static constexpr unsigned kTableShift = 12;

  std::unordered_map<std::uint64_t, std::string> names_;
  std::array<std::vector<std::string_view>, kTables> tables_;  // of which nothing has been learned
};

}  // namespace swat::os::windows
