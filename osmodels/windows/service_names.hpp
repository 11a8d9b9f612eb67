// What the numbers of system calls are called, as the guest's own DLLs say: functions that
// ntdll.dll and win32u.dll export begin with the number that they call the kernel with.
//
// Numbers change with every build and with updates inside one, so no table is certain.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "symbols/memory.hpp"

namespace swat::os::windows {

// Bytes from a stub's start that tell its number.
inline constexpr std::size_t kStubBytes = 16;

// The number that the stub calls; nullopt: it is none that this knows.
[[nodiscard]] std::optional<std::uint32_t> service_of_stub(std::span<const std::byte> code,
                                                           unsigned word_bytes);

class ServiceNames {
 public:
  // Whether functions of a DLL of that file name are system calls.
  [[nodiscard]] static bool are_in(std::string_view dll);

  // Takes what the image at `base` exports, if its words are so wide. False: some of it is paged
  // out, or it is no image; another process may have it.
  bool learn(VirtualMemory& memory, Va base, unsigned word_bytes);

  // "": not known.
  [[nodiscard]] std::string_view name(std::uint64_t number) const;
  [[nodiscard]] std::size_t size() const { return names_.size(); }

 private:
  std::unordered_map<std::uint64_t, std::string> names_;
};

}  // namespace swat::os::windows
