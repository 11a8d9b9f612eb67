#include "osmodels/page_table.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <ranges>

#include "osmodels/page_geometry.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kMaxTableBytes = 65536;
// 64 GiB of 4 KiB pages; a table that is its own child would otherwise take the age of the
// universe.
constexpr std::size_t kMaxTablesPerWalk = 1 << 15;
constexpr std::size_t kMaxCachedPages = 1 << 16;
constexpr std::uint64_t kPageBytes = 4096;

std::uint64_t entry_of(const PageGeometry& geometry, std::span<const std::byte> table,
                       std::size_t index) {
  std::uint64_t entry = 0;
  std::memcpy(&entry, table.data() + index * geometry.entry.entry_bytes,
              geometry.entry.entry_bytes);
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
    const std::span<std::byte> bytes = std::span(raw).first(count * geometry_.entry.entry_bytes);
    if (const Result<> got = ram_.read(at, bytes); !got) {
      if (got.error().code == Errc::kFault) return true;  // a hostile or torn entry: nothing there
      return tl::unexpected(got.error());
    }
    for (std::size_t i = first_entry(base, shape, count); i < count; ++i) {
      const std::uint64_t start = address_of(base, shape, i);
      if (start > last_) break;
      if (!SWAT_TRY(entry(entry_of(geometry_, bytes, i), level, start, rights))) return false;
    }
    return true;
  }

 private:
  std::uint64_t address_of(std::uint64_t base, const Level& shape, std::size_t index) const {
    const std::uint64_t at = base + (std::uint64_t{index} << shape.shift);
    const bool upper = geometry_.half == Half::kBoth && (at >> (geometry_.va_bits - 1) & 1) != 0;
    return upper ? at | ~((std::uint64_t{1} << geometry_.va_bits) - 1) : at;
  }

  // The first of `count` that does not end before the range: their addresses ascend.
  std::size_t first_entry(std::uint64_t base, const Level& shape, std::size_t count) const {
    const std::uint64_t to_last = (std::uint64_t{1} << shape.shift) - 1;
    const auto indices = std::views::iota(std::size_t{0}, count);
    const auto first = std::ranges::partition_point(
        indices, [&](std::size_t i) { return address_of(base, shape, i) + to_last < first_; });
    return static_cast<std::size_t>(first - indices.begin());
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
    const Pa at = here.at + (start & here.repeated);
    return visit_(Va{start},
                  Translation{at, page_bytes, here.user, here.writable, here.executable});
  }

  PhysicalMemory& ram_;
  const PageGeometry& geometry_;
  std::uint64_t first_;
  std::uint64_t last_;
  const std::function<bool(Va, const Translation&)>& visit_;
  std::size_t tables_ = 0;
};

constexpr Descriptor kAllRights{Descriptor::Kind::kTable, {}, true, true, true};

}  // namespace

Result<Translation> AddressSpace::translate(Va at) {
  if (const auto known = cache_.find(at.value / kPageBytes); known != cache_.end()) {
    Translation page = known->second;
    page.at = page.at + at.value % kPageBytes;
    return page;
  }
  if (!is_canonical(geometry_, at)) return fail(Errc::kFault, "not an address", at.value);
  Descriptor here = kAllRights;
  here.at = root_;
  for (std::size_t level = 0; level < geometry_.level_count; ++level) {
    const Level& shape = geometry_.levels[level];
    const std::uint64_t raw = SWAT_TRY(entry(here.at, level, at));
    const Descriptor next = decode(geometry_, level, raw);
    if (next.kind == Descriptor::Kind::kAbsent) {
      const auto page = page_of_absent(level, raw);
      if (!page) return fail(Errc::kFault, "page not present", at.value);
      return keep(at, {*page, kPageBytes, false, false, false});
    }
    here = {next.kind,
            next.at,
            here.user && next.user,
            here.writable && next.writable,
            here.executable && next.executable,
            next.repeated};
    if (here.kind != Descriptor::Kind::kLeaf) continue;
    const std::uint64_t page_bytes = std::uint64_t{1} << shape.shift;
    const std::uint64_t below = at.value & ((page_bytes - 1) | here.repeated);
    const Pa page = here.at + (below & ~(kPageBytes - 1));
    return keep(at, {page, page_bytes, here.user, here.writable, here.executable});
  }
  return fail(Errc::kFault, "page table without leaves", at.value);  // no geometry has such a row
}

Result<std::uint64_t> AddressSpace::entry(Pa table, std::size_t level, Va at) {
  const Level& shape = geometry_.levels[level];
  const std::uint64_t index = at.value >> shape.shift & ((1u << shape.index_bits) - 1);
  std::array<std::byte, sizeof(std::uint64_t)> raw{};
  const auto bytes = std::span(raw).first(geometry_.entry.entry_bytes);
  const Result<> got = ram_.read(table + index * geometry_.entry.entry_bytes, bytes);
  if (got) return entry_of(geometry_, raw, 0);
  if (got.error().code != Errc::kFault) return tl::unexpected(got.error());
  return fail(Errc::kFault, "page table outside RAM", at.value);
}

std::optional<Pa> AddressSpace::page_of_absent(std::size_t level, std::uint64_t entry) const {
  const bool is_last = level + 1 == geometry_.level_count;
  return absent_page_ != nullptr && is_last ? absent_page_(entry) : std::nullopt;
}

// For the next time, and what it is for the byte at `at`.
Translation AddressSpace::keep(Va at, Translation page) {
  if (cache_.size() >= kMaxCachedPages) cache_.clear();
  cache_[at.value / kPageBytes] = page;
  page.at = page.at + at.value % kPageBytes;
  return page;
}

Result<std::uint64_t> AddressSpace::absent_entry(Va at) {
  if (!is_canonical(geometry_, at)) return fail(Errc::kFault, "not an address", at.value);
  Pa table = root_;
  for (std::size_t level = 0; level < geometry_.level_count; ++level) {
    const std::uint64_t raw = SWAT_TRY(entry(table, level, at));
    const Descriptor next = decode(geometry_, level, raw);
    if (next.kind == Descriptor::Kind::kAbsent) return raw;
    if (next.kind == Descriptor::Kind::kLeaf) break;
    table = next.at;
  }
  return fail(Errc::kNotFound, "page is present", at.value);
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
  SWAT_CHECK(walk.table(root_, 0, lowest_address(geometry_), kAllRights));
  return {};
}

}  // namespace swat::os
