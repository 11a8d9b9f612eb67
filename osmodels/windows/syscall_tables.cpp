#include "osmodels/windows/syscall_tables.hpp"

#include <algorithm>
#include <iterator>

namespace swat::os::windows {
namespace {

constexpr SyscallBuild kBuilds[] = {
#include "osmodels/windows/syscall_builds_x64.inc"
#include "osmodels/windows/syscall_builds_x86.inc"
};

// A call that a build has put before those from `number` on, or (null) the one that it has not any
// more. Builds count from the first of their architecture.
struct Edit {
  std::uint8_t build;
  std::uint16_t number;
  const char* name;
};

constexpr Edit kNtX86[] = {
#include "osmodels/windows/syscall_edits_nt_x86.inc"
};
constexpr Edit kNtX64[] = {
#include "osmodels/windows/syscall_edits_nt_x64.inc"
};
constexpr Edit kWin32kX86[] = {
#include "osmodels/windows/syscall_edits_win32k_x86.inc"
};
constexpr Edit kWin32kX64[] = {
#include "osmodels/windows/syscall_edits_win32k_x64.inc"
};

struct EditsRow {
  SyscallTable table;
  unsigned word_bytes;
  std::span<const Edit> edits;
};
constexpr EditsRow kEdits[] = {{SyscallTable::kNt, 4, kNtX86},
                               {SyscallTable::kNt, 8, kNtX64},
                               {SyscallTable::kWin32k, 4, kWin32kX86},
                               {SyscallTable::kWin32k, 8, kWin32kX64}};

std::ptrdiff_t index_of(const SyscallBuild& build) {
  const auto first = std::ranges::find(kBuilds, build.word_bytes, &SyscallBuild::word_bytes);
  return std::ranges::find(kBuilds, build.name, &SyscallBuild::name) - first;
}

}  // namespace

std::span<const SyscallBuild> syscall_builds() { return kBuilds; }

const SyscallBuild* find_syscall_build(std::string_view name) {
  const auto found = std::ranges::find(kBuilds, name, &SyscallBuild::name);
  return found == std::end(kBuilds) ? nullptr : found;
}

const SyscallBuild* syscall_build_near(std::uint32_t number, unsigned word_bytes) {
  const SyscallBuild* nearest = nullptr;
  for (const SyscallBuild& build : kBuilds) {
    if (build.word_bytes == word_bytes && build.number <= number) nearest = &build;
  }
  return nearest;
}

std::vector<std::string_view> syscall_names(const SyscallBuild& build, SyscallTable table) {
  const std::ptrdiff_t last = index_of(build);
  std::vector<std::string_view> names;
  for (const EditsRow& row : kEdits) {
    if (row.table != table || row.word_bytes != build.word_bytes) continue;
    for (const Edit& edit : row.edits) {
      if (edit.build > last) break;
      const auto at = names.begin() + edit.number;
      if (edit.name == nullptr) {
        names.erase(at);
      } else {
        names.insert(at, edit.name);
      }
    }
  }
  return names;
}

}  // namespace swat::os::windows
