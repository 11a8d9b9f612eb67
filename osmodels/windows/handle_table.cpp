#include "osmodels/windows/handle_table.hpp"

#include <array>
#include <optional>
#include <vector>

#include "symbols/span_load.hpp"

namespace swat::os::windows {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr unsigned kLevelMask = 3;
constexpr std::uint64_t kMostHandles = std::uint64_t{1} << 24;
constexpr std::uint32_t kProcessBytes = 0xb80;  // EPROCESS of no build is larger
constexpr std::uint32_t kPieceBytes = 0x80;

// Ascending by build.
constexpr HandleTableShape kShapes[] = {
    {4, 2600, 0, 4, 8, HandleEntry::kPointer},      {4, 9200, 8, 0x0c, 0x18, HandleEntry::kPointer},
    {8, 3790, 0, 8, 0x10, HandleEntry::kPointer},   {8, 9200, 8, 0x10, 0x28, HandleEntry::kShifted},
    {8, 9600, 8, 0x10, 0x28, HandleEntry::kPacked},
};

// The address of an object's header; null: the entry is free.
Va header_in(HandleEntry form, std::uint64_t entry) {
  constexpr std::uint64_t kFlags = 7;
  constexpr unsigned kShift = 19;  // an arithmetic one, as addresses of the kernel are negative
  constexpr unsigned kPackedShift = 16;
  constexpr std::uint64_t kUpper = 0xffff'0000'0000'0000;
  switch (form) {
    case HandleEntry::kPointer:
      return Va{entry & ~kFlags};
    case HandleEntry::kShifted:
      return Va{static_cast<std::uint64_t>(static_cast<std::int64_t>(entry & ~kFlags) >> kShift)};
    case HandleEntry::kPacked:
      return entry >> (kPackedShift + 4) == 0 ? Va{}
                                              : Va{((entry >> kPackedShift) & ~0xfULL) | kUpper};
  }
  return {};
}

// Whether the table at `at` says that it is this process's.
bool is_table_of(const KernelSpace& kernel, const HandleTableShape& shape, Va at,
                 const Process& process) {
  if (!kernel.is_pointer(at)) return false;
  const auto owner = read_pointer(kernel.memory, at + shape.quota_process, kernel.word_bytes);
  if (!owner || Va{*owner} != process.object) return false;
  const auto pid = read_pointer(kernel.memory, at + shape.pid, kernel.word_bytes);
  return pid && *pid == process.pid;
}

// Words of the EPROCESS that may be its ObjectTable: bytes from its start.
std::vector<std::uint32_t> tables_in(const KernelSpace& kernel, const HandleTableShape& shape,
                                     const Process& process) {
  std::vector<std::uint32_t> found;
  std::array<std::byte, kPieceBytes> piece{};
  for (std::uint32_t from = 0; from < kProcessBytes; from += kPieceBytes) {
    if (!kernel.memory.read(process.object + from, piece)) break;  // behind an older build's end
    for (std::uint32_t at = 0; at < kPieceBytes; at += kernel.word_bytes) {
      const auto word = symbols::load_word(piece, at, kernel.word_bytes);
      if (word && is_table_of(kernel, shape, Va{*word}, process)) found.push_back(from + at);
    }
  }
  return found;
}

}  // namespace

const HandleTableShape* find_handle_table_shape(std::uint32_t build, unsigned word_bytes) {
  const HandleTableShape* found = nullptr;
  for (const HandleTableShape& shape : kShapes) {
    if (shape.word_bytes == word_bytes && shape.first_build <= build) found = &shape;
  }
  return found;
}

Result<std::uint32_t> HandleTable::find_table(const KernelSpace& kernel,
                                              const HandleTableShape& shape,
                                              std::span<const ProcessEntry> processes) {
  constexpr std::size_t kEnough = 4;  // processes that agree; each takes hundreds of reads
  std::optional<std::uint32_t> agreed;
  std::size_t count = 0;
  for (const ProcessEntry& entry : processes) {
    const auto found = tables_in(kernel, shape, entry.process);
    // System's table is nobody's, and a process that has ended has none any more.
    if (found.empty()) continue;
    if (found.size() > 1 || (agreed && *agreed != found.front())) {
      return fail(Errc::kNotFound, "several words look like EPROCESS.ObjectTable");
    }
    agreed = found.front();
    if (++count == kEnough) break;
  }
  if (!agreed) return fail(Errc::kNotFound, "no word looks like EPROCESS.ObjectTable");
  return *agreed;
}

Result<Va> HandleTable::header_of(Va process, std::uint64_t handle) const {
  constexpr unsigned kTagBits = 2;  // of a handle, for its owner's use
  const unsigned word = kernel_.word_bytes;
  const std::uint64_t index = handle >> kTagBits;
  if (index == 0 || index >= kMostHandles) return fail(Errc::kNotFound, "no handle");
  const Va table{SWAT_TRY(read_pointer(kernel_.memory, process + table_at_, word))};
  if (!kernel_.is_pointer(table)) return fail(Errc::kNotFound, "a process without handles");
  const auto code = SWAT_TRY(read_pointer(kernel_.memory, table + shape_.code, word));
  const Va entry = SWAT_TRY(entry_of(code, index));
  const Va header = header_in(shape_.entry, SWAT_TRY(read_pointer(kernel_.memory, entry, word)));
  if (!kernel_.is_pointer(header)) return fail(Errc::kNotFound, "no such handle");
  return header;
}

// Down from the top: each page of pointers leads to so many pages of the level below.
Result<Va> HandleTable::entry_of(std::uint64_t code, std::uint64_t index) const {
  const std::uint64_t entry_bytes = 2 * std::uint64_t{kernel_.word_bytes};
  const std::uint64_t pointers = kPageBytes / kernel_.word_bytes;
  const std::uint64_t entries = kPageBytes / entry_bytes;
  Va page{code & ~std::uint64_t{kLevelMask}};
  for (auto level = static_cast<unsigned>(code & kLevelMask); level > 0; --level) {
    const std::uint64_t below = level == 2 ? entries * pointers : entries;
    const bool is_level = level < kLevelMask && index / below < pointers;
    if (!is_level || !kernel_.is_pointer(page)) return fail(Errc::kNotFound, "no such handle");
    const Va slot = page + index / below * kernel_.word_bytes;
    page = Va{SWAT_TRY(read_pointer(kernel_.memory, slot, kernel_.word_bytes))};
    index %= below;
  }
  if (index >= entries || !kernel_.is_pointer(page)) return fail(Errc::kNotFound, "no such handle");
  return page + index * entry_bytes;
}

}  // namespace swat::os::windows
