// Where a build of Windows keeps what the readers of osmodels/windows need.
//
// Servicing updates move members inside one build number, so the rows are a seed and a cross-check:
// what the running kernel's own accessors say (accessors.hpp) goes first.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace swat::os::windows {

using MemberOffset = std::optional<std::uint32_t>;  // bytes from the structure's start

struct WindowsOffsets {
  MemberOffset pcr_current_thread;  // KPCR.Prcb.CurrentThread
  MemberOffset thread_process;      // KTHREAD.ApcState.Process: whose address space it is in
  MemberOffset thread_client_id;    // ETHREAD.Cid: a process's number, a thread's behind it
  MemberOffset process_pid;
  MemberOffset process_links;  // ActiveProcessLinks
  MemberOffset process_parent_pid;
  MemberOffset process_name;   // ImageFileName, of kImageNameBytes
  MemberOffset process_peb;    // null: System and its kind
  MemberOffset process_wow64;  // x64 alone; null: a 64-bit process
  MemberOffset process_vad_root;

  friend bool operator==(const WindowsOffsets&, const WindowsOffsets&) = default;
};

inline constexpr std::size_t kImageNameBytes = 15;

// KPROCESS.DirectoryTableBase, of all builds since 5.0.
[[nodiscard]] constexpr std::uint32_t page_table_at(unsigned word_bytes) {
  return word_bytes == 8 ? 0x28 : 0x18;
}

struct OffsetRow {
  std::string_view name;    // "win10_19041_x64"
  std::uint32_t build;      // NtBuildNumber without its flags
  std::uint8_t word_bytes;  // of a pointer
  WindowsOffsets offsets;
};

// Every build that there is a row for, ascending.
[[nodiscard]] const std::vector<OffsetRow>& offset_rows();

// Those that may fit: of the build itself, one for each servicing state that is known, else of the
// nearest build before it, else of the nearest one behind.
[[nodiscard]] std::vector<const OffsetRow*> rows_near(std::uint32_t build, unsigned word_bytes);

}  // namespace swat::os::windows
