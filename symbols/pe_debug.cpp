// The debug directory's CodeView entry, which names the PDB. [PE format, "The .debug Section"; the
// entry's own form is in no manual, but as LLVM's codeview::PDB70DebugInfo has it]
#include <algorithm>

#include "symbols/guid.hpp"
#include "symbols/pe_image.hpp"
#include "symbols/pe_tables.hpp"

namespace swat::symbols {
namespace {

struct DebugEntry {
  std::uint32_t characteristics;
  std::uint32_t time_stamp;
  std::uint32_t version;
  std::uint32_t type;
  std::uint32_t size_bytes;
  std::uint32_t rva;  // 0: it is not mapped
  std::uint32_t file_offset;
};
static_assert(sizeof(DebugEntry) == 28);
constexpr std::uint32_t kCodeView = 2;

constexpr std::uint32_t kRsds = 0x53445352;
struct Rsds {
  std::uint32_t magic;
  std::array<std::byte, 16> guid;
  std::uint32_t age;
};
static_assert(sizeof(Rsds) == 24);

constexpr std::uint32_t kNb10 = 0x3031424e;
struct Nb10 {
  std::uint32_t magic;
  std::uint32_t offset;
  std::uint32_t time_stamp;
  std::uint32_t age;
};
static_assert(sizeof(Nb10) == 16);

Result<PeDebugId> read_entry(PeTables& tables, std::uint32_t rva) {
  const auto magic = SWAT_TRY(tables.record<std::uint32_t>(rva));
  if (magic == kRsds) {
    const auto rsds = SWAT_TRY(tables.record<Rsds>(rva));
    std::string file = SWAT_TRY(tables.name(rva + sizeof(Rsds)));
    return PeDebugId{guid_to_hex(rsds.guid), rsds.age, std::move(file)};
  }
  if (magic == kNb10) {
    const auto nb10 = SWAT_TRY(tables.record<Nb10>(rva));
    std::string file = SWAT_TRY(tables.name(rva + sizeof(Nb10)));
    return PeDebugId{number_to_hex(std::as_bytes(std::span(&nb10.time_stamp, 1))), nb10.age,
                     std::move(file)};
  }
  return fail(Errc::kNotFound, "a CodeView entry of another kind");
}

}  // namespace

Result<PeDebugId> PeImage::debug_id(VirtualMemory& memory) const {
  const PeDirectory& where = layout_.directory(PeTable::kDebug);
  PeTables tables(memory, layout_);
  const std::size_t count =
      std::min(where.size_bytes / sizeof(DebugEntry), layout_.limits.max_debug_entries);
  if (where.rva != 0) {
    const auto entries = SWAT_TRY(tables.array<DebugEntry>(where.rva, count));
    for (const DebugEntry& entry : entries) {
      if (entry.type == kCodeView && entry.rva != 0) return read_entry(tables, entry.rva);
    }
  }
  return fail(Errc::kNotFound, "no CodeView entry in a debug directory");
}

}  // namespace swat::symbols
