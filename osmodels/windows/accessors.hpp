// Offsets that the kernel itself tells: functions that it exports to give a member of a structure.
//
// PsGetProcessPeb, on every build since 5.1, is `mov rax,[rcx+disp]; ret`, or the same behind a
// frame of its own and a load of the argument on x86. They are followed, not matched: compilers
// differ, and so do kernels that are compatible only.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "osmodels/windows/offsets.hpp"
#include "symbols/memory.hpp"

namespace swat::os::windows {

// What a function returns, as far as it is a path from its argument or from the KPCR.
struct ReturnedPath {
  enum class Start { kArgument, kPcr } start;
  std::vector<std::uint64_t> loads;  // each adds to the pointer so far, and loads from there
  std::uint64_t added = 0;           // to the last pointer, without a load: an address in there

  friend bool operator==(const ReturnedPath&, const ReturnedPath&) = default;
};

// kNotFound: the code forks, calls, or returns something else.
[[nodiscard]] Result<ReturnedPath> follow_accessor(VirtualMemory& kernel, Va function,
                                                   unsigned word_bytes);

// Where an export is; null: there is none.
using FindExport = std::function<std::optional<Va>(std::string_view name)>;

// Of every member that has an accessor which can be followed.
[[nodiscard]] WindowsOffsets offsets_by_accessors(VirtualMemory& kernel,
                                                  const FindExport& find_export,
                                                  unsigned word_bytes);

}  // namespace swat::os::windows
