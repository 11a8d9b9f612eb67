#include "osmodels/cached_ram.hpp"

#include <cstring>

namespace swat::os {

Result<> CachedRam::read(Pa at, std::span<std::byte> into) {
  const std::uint64_t number = at.value / kPage;
  const auto offset = static_cast<std::size_t>(at.value % kPage);
  const bool crosses = into.size() > kPage - offset;  // much at once, or rare
  if (crosses || ++reads_ <= kFewReads) {
    return ram_.read(at, into);
  }
  auto found = pages_.find(number);
  if (found == pages_.end()) {
    if (into.size() == kPage) return ram_.read(at, into);  // by whoever reads on, page by page
    std::vector<std::byte> page(kPage);
    const Result<> whole = ram_.read(Pa{number * kPage}, page);
    // A page that is not all RAM, or a connection that is gone: the plain read says which.
    if (!whole) return ram_.read(at, into);
    if (pages_.size() >= kMostPages) pages_.clear();
    found = pages_.emplace(number, std::move(page)).first;
  }
  std::memcpy(into.data(), found->second.data() + offset, into.size());
  return {};
}

// The table goes, too: clearing a large one takes longer than a stop may.
void CachedRam::forget() {
  reads_ = 0;
  if (!pages_.empty()) pages_ = {};
}

}  // namespace swat::os
