#include "osmodels/linux/file_memory.hpp"

#include <algorithm>

namespace swat::os {
namespace {

constexpr std::uint64_t kPage = 4096;  // the least that page tables map

// Nobody has a page of his own of these, but through a debugger or where they once were writable.
bool is_of_file(const Mapping& mapping) { return mapping.file_id != 0 && !mapping.writable; }

std::uint64_t offset_in_file(const Mapping& mapping, Va at) {
  return mapping.file_offset + (at - mapping.range.start);
}

}  // namespace

std::vector<MappedFilePage> mapped_file_pages(AddressSpace& user,
                                              const std::vector<Mapping>& mappings,
                                              const KernelLayout& layout) {
  constexpr std::size_t kMostEach = 8;
  const std::uint64_t page = std::uint64_t{1} << layout.page_shift;
  std::vector<MappedFilePage> found;
  for (const Mapping& mapping : mappings) {
    if (!is_of_file(mapping) || !mapping.executable) continue;
    std::size_t here = 0;
    const auto visited = user.for_each_leaf(mapping.range, [&](Va at, const Translation& to) {
      if (at.value % page != 0 || to.page_bytes > page || !to.user) return true;
      found.push_back({Va{mapping.file_id}, offset_in_file(mapping, at) / page, to.at});
      return ++here < kMostEach;
    });
    if (!visited) break;
  }
  return found;
}

Result<Pa> FileMemory::find(Va at) {
  const auto behind = std::ranges::upper_bound(
      mappings_, at, {}, [](const Mapping& mapping) { return mapping.range.start; });
  const auto none = fail(Errc::kFault, "page not present", at.value);
  if (behind == mappings_.begin()) return none;
  const Mapping& mapping = *std::prev(behind);
  if (!mapping.range.contains(at) || !is_of_file(mapping)) return none;
  // What was here and has been swapped out is not the file's, perhaps.
  if (SWAT_TRY(user_.absent_entry(at)) != 0) return none;
  const std::uint64_t offset = offset_in_file(mapping, at);
  const auto page = cache_.find(Va{mapping.file_id}, offset >> page_shift_);
  if (page) return *page + (offset & ((std::uint64_t{1} << page_shift_) - 1));
  return page.error().code == Errc::kDisconnected ? page : none;
}

Result<> FileMemory::read(Va at, std::span<std::byte> into) {
  Result<> got = user_.read(at, into);
  if (got || got.error().code != Errc::kFault) return got;
  while (!into.empty()) {
    const auto piece = into.first(std::min<std::size_t>(kPage - at.value % kPage, into.size()));
    got = user_.read(at, piece);
    if (!got && got.error().code != Errc::kFault) return got;
    if (!got) SWAT_CHECK(ram_.read(SWAT_TRY(find(at)), piece));
    at = at + piece.size();
    into = into.subspan(piece.size());
  }
  return {};
}

}  // namespace swat::os
