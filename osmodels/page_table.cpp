#include "osmodels/page_table.hpp"

#include <array>
#include <limits>

namespace swat::os {
namespace {

// What one entry of a table says.
struct Descriptor {
  enum class Kind { kAbsent, kTable, kLeaf } kind = Kind::kAbsent;
  Pa at;
  bool user = false;
  bool writable = false;
  bool executable = false;
};

struct Level {
  unsigned shift;  // of the address bits that index this level's table
  unsigned index_bits;
  bool may_be_leaf;  // has a "large page" bit; the last level is all leaves without one
  bool has_rights;   // its user, writable and no-execute bits count
};

constexpr std::size_t kMaxLevels = 5;
constexpr std::size_t kMaxTableBytes = 16384;
// 64 GiB of 4 KiB pages; a table that is its own child would otherwise take the age of the
// universe.
constexpr std::size_t kMaxTablesPerWalk = 1 << 15;
constexpr std::size_t kMaxCachedPages = 1 << 16;
constexpr std::uint64_t kPageBytes = 4096;

}  // namespace

struct PageGeometry {
  std::string_view name;
  unsigned va_bits;
  bool sign_extended;  // addresses are canonical: bits above va_bits repeat the highest of them
  unsigned entry_bytes;
  std::uint64_t address_mask;  // of a table's or a 4 KiB leaf's physical address in an entry
  std::uint64_t no_execute;    // bit; 0 where there is none
  std::array<Level, kMaxLevels> levels;
  std::size_t level_count;
};

namespace {

// [Intel SDM vol. 3, 4.3 to 4.5: tables 4-4 to 4-20]
constexpr std::uint64_t kPresent = 1 << 0;
constexpr std::uint64_t kWritable = 1 << 1;
constexpr std::uint64_t kUser = 1 << 2;
constexpr std::uint64_t kLarge = 1 << 7;
constexpr std::uint64_t kNoExecute = std::uint64_t{1} << 63;
constexpr std::uint64_t kAddress52 = 0x000ffffffffff000;

constexpr PageGeometry kGeometries[] = {
    {"x86_64-4level",
     48,
     true,
     8,
     kAddress52,
     kNoExecute,
     {{{39, 9, false, true}, {30, 9, true, true}, {21, 9, true, true}, {12, 9, false, true}}},
     4},
    {"x86_64-5level",
     57,
     true,
     8,
     kAddress52,
     kNoExecute,
     {{{48, 9, false, true},
       {39, 9, false, true},
       {30, 9, true, true},
       {21, 9, true, true},
       {12, 9, false, true}}},
     5},
    // PSE-36 (physical bits 39:32 in bits 20:13 of a 4 MiB entry) is not decoded: only guests with
    // more than 4 GiB of RAM and no PAE kernel could use it, and no Linux or NT does.
    {"i386", 32, false, 4, 0xfffff000, 0, {{{22, 10, true, true}, {12, 10, false, true}}}, 2},
    // The four entries of the first level have no rights bits. [SDM vol. 3, table 4-8]
    {"i386-pae",
     32,
     false,
     8,
     kAddress52,
     kNoExecute,
     {{{30, 2, false, false}, {21, 9, true, true}, {12, 9, false, true}}},
     3},
};

Descriptor decode(const PageGeometry& geometry, std::size_t level, std::uint64_t entry) {
  if ((entry & kPresent) == 0) return {};
  const Level& shape = geometry.levels[level];
  const bool last = level + 1 == geometry.level_count;
  Descriptor found;
  found.kind = last || (shape.may_be_leaf && (entry & kLarge) != 0) ? Descriptor::Kind::kLeaf
                                                                    : Descriptor::Kind::kTable;
  std::uint64_t mask = geometry.address_mask;
  if (found.kind == Descriptor::Kind::kLeaf) mask &= ~((std::uint64_t{1} << shape.shift) - 1);
  found.at = Pa{entry & mask};
  found.user = !shape.has_rights || (entry & kUser) != 0;
  found.writable = !shape.has_rights || (entry & kWritable) != 0;
  found.executable = !shape.has_rights || (entry & geometry.no_execute) == 0;
  return found;
}

bool is_canonical(const PageGeometry& geometry, Va at) {
  const std::uint64_t above = at.value >> (geometry.va_bits - (geometry.sign_extended ? 1 : 0));
  if (above == 0) return true;
  const unsigned bits = 64 - geometry.va_bits + 1;
  return geometry.sign_extended && above == (std::uint64_t{1} << bits) - 1;
}

std::uint64_t entry_of(const PageGeometry& geometry, std::span<const std::byte> table,
                       std::size_t index) {
  std::uint64_t entry = 0;
  std::memcpy(&entry, table.data() + index * geometry.entry_bytes, geometry.entry_bytes);
  return entry;
}

// Depth first over the tables below a root.
class LeafWalk {
 public:
  LeafWalk(PhysicalMemory& ram, const PageGeometry& geometry, VaRange range,
           const std::function<bool(Va, const Translation&)>& visit)
      : ram_(ram),
        geometry_(geometry),
        first_(range.start.value),
        last_(range.end.value - 1),
        visit_(visit) {}

  // False: the visitor has seen enough.
  Result<bool> table(Pa at, std::size_t level, std::uint64_t base, const Descriptor& rights) {
    if (++tables_ > kMaxTablesPerWalk) {
      return fail(Errc::kBadImage, "page tables without an end", at.value);
    }
    const Level& shape = geometry_.levels[level];
    const std::size_t count = std::size_t{1} << shape.index_bits;
    std::array<std::byte, kMaxTableBytes> raw;
    const std::span<std::byte> bytes = std::span(raw).first(count * geometry_.entry_bytes);
    if (const Result<> got = ram_.read(at, bytes); !got) {
      if (got.error().code == Errc::kFault) return true;  // a hostile or torn entry: nothing there
      return tl::unexpected(got.error());
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t start = address_of(base, shape, i);
      const std::uint64_t end = start + ((std::uint64_t{1} << shape.shift) - 1);
      if (end < first_ || start > last_) continue;
      if (!SWAT_TRY(entry(entry_of(geometry_, bytes, i), level, start, rights))) return false;
    }
    return true;
  }

 private:
  std::uint64_t address_of(std::uint64_t base, const Level& shape, std::size_t index) const {
    const std::uint64_t at = base + (std::uint64_t{index} << shape.shift);
    const bool upper = geometry_.sign_extended && (at >> (geometry_.va_bits - 1) & 1) != 0;
    return upper ? at | ~((std::uint64_t{1} << geometry_.va_bits) - 1) : at;
  }

  Result<bool> entry(std::uint64_t raw, std::size_t level, std::uint64_t start,
                     const Descriptor& above) {
    Descriptor here = decode(geometry_, level, raw);
    if (here.kind == Descriptor::Kind::kAbsent) return true;
    here.user = here.user && above.user;
    here.writable = here.writable && above.writable;
    here.executable = here.executable && above.executable;
    if (here.kind == Descriptor::Kind::kTable) return table(here.at, level + 1, start, here);
    const std::uint64_t page_bytes = std::uint64_t{1} << geometry_.levels[level].shift;
    return visit_(Va{start},
                  Translation{here.at, page_bytes, here.user, here.writable, here.executable});
  }

  PhysicalMemory& ram_;
  const PageGeometry& geometry_;
  std::uint64_t first_;
  std::uint64_t last_;
  const std::function<bool(Va, const Translation&)>& visit_;
  std::size_t tables_ = 0;
};

constexpr Descriptor kAllRights{Descriptor::Kind::kTable, {}, true, true, true};

Result<std::uint64_t> reg_or_zero(GuestView& guest, unsigned vcpu, std::string_view name) {
  Result<std::uint64_t> value = guest.reg(vcpu, name);
  if (!value && value.error().code == Errc::kNotFound) return 0;
  return value;
}

}  // namespace

const PageGeometry* find_geometry(std::string_view name) {
  const auto* found = std::ranges::find(kGeometries, name, &PageGeometry::name);
  return found == std::end(kGeometries) ? nullptr : found;
}

Result<const PageGeometry*> x86_geometry(GuestView& guest, unsigned vcpu) {
  constexpr std::uint64_t kCr0Paging = std::uint64_t{1} << 31;
  constexpr std::uint64_t kCr4Pae = 1 << 5;
  constexpr std::uint64_t kCr4La57 = 1 << 12;
  constexpr std::uint64_t kEferLongModeActive = 1 << 10;
  const std::uint64_t cr4 = SWAT_TRY(guest.reg(vcpu, "cr4"));
  const std::uint64_t efer = SWAT_TRY(reg_or_zero(guest, vcpu, "efer"));
  if ((SWAT_TRY(guest.reg(vcpu, "cr0")) & kCr0Paging) == 0) {
    return fail(Errc::kUnsupported, "paging is off on this CPU");
  }
  if ((efer & kEferLongModeActive) != 0) {
    return find_geometry((cr4 & kCr4La57) != 0 ? "x86_64-5level" : "x86_64-4level");
  }
  return find_geometry((cr4 & kCr4Pae) != 0 ? "i386-pae" : "i386");
}

Result<Translation> AddressSpace::translate(Va at) {
  const std::uint64_t offset = at.value % kPageBytes;
  if (const auto known = cache_.find(at.value / kPageBytes); known != cache_.end()) {
    Translation page = known->second;
    page.at = page.at + offset;
    return page;
  }
  if (!is_canonical(geometry_, at)) return fail(Errc::kFault, "not an address", at.value);
  Descriptor here = kAllRights;
  here.at = root_;
  for (std::size_t level = 0; level < geometry_.level_count; ++level) {
    const Level& shape = geometry_.levels[level];
    const std::uint64_t index = at.value >> shape.shift & ((1u << shape.index_bits) - 1);
    std::array<std::byte, sizeof(std::uint64_t)> raw{};
    const auto bytes = std::span(raw).first(geometry_.entry_bytes);
    if (const Result<> got = ram_.read(here.at + index * geometry_.entry_bytes, bytes); !got) {
      if (got.error().code != Errc::kFault) return tl::unexpected(got.error());
      return fail(Errc::kFault, "page table outside RAM", at.value);
    }
    const Descriptor next = decode(geometry_, level, entry_of(geometry_, raw, 0));
    if (next.kind == Descriptor::Kind::kAbsent) {
      return fail(Errc::kFault, "page not present", at.value);
    }
    here = {next.kind, next.at, here.user && next.user, here.writable && next.writable,
            here.executable && next.executable};
    if (here.kind != Descriptor::Kind::kLeaf) continue;
    const std::uint64_t page_bytes = std::uint64_t{1} << shape.shift;
    const Pa page = here.at + (at.value & (page_bytes - 1) & ~(kPageBytes - 1));
    if (cache_.size() >= kMaxCachedPages) cache_.clear();
    Translation found{page, page_bytes, here.user, here.writable, here.executable};
    cache_[at.value / kPageBytes] = found;
    found.at = found.at + offset;
    return found;
  }
  return fail(Errc::kFault, "page table without leaves", at.value);  // no geometry has such a row
}

Result<> AddressSpace::read(Va at, std::span<std::byte> into) {
  std::vector<PhysicalMemory::Piece> pieces;
  std::vector<Va> starts;
  for (std::size_t done = 0; done < into.size();) {
    const Va here = at + done;
    const std::size_t n =
        std::min<std::size_t>(kPageBytes - here.value % kPageBytes, into.size() - done);
    const Pa from = SWAT_TRY(translate(here)).at;
    const bool joins = !pieces.empty() && pieces.back().at + pieces.back().into.size() == from;
    if (joins) {
      pieces.back().into = {pieces.back().into.data(), pieces.back().into.size() + n};
    } else {
      pieces.push_back({from, into.subspan(done, n)});
      starts.push_back(here);
    }
    done += n;
  }
  Result<> got =
      pieces.size() == 1 ? ram_.read(pieces[0].at, pieces[0].into) : ram_.read_batch(pieces);
  if (got || got.error().code != Errc::kFault) return got;
  for (std::size_t i = 0; i < pieces.size(); ++i) {  // which of them was it?
    if (ram_.read(pieces[i].at, pieces[i].into)) continue;
    return fail(Errc::kFault, "page outside RAM", starts[i].value);
  }
  return got;
}

Result<> AddressSpace::for_each_leaf(VaRange range,
                                     const std::function<bool(Va, const Translation&)>& visit) {
  if (range.start == range.end) return {};
  LeafWalk walk(ram_, geometry_, range, visit);
  SWAT_CHECK(walk.table(root_, 0, 0, kAllRights));
  return {};
}

}  // namespace swat::os
