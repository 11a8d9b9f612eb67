#include "symbols/page_reader.hpp"

#include <algorithm>
#include <cstring>

namespace swat::symbols {

Result<> PageReader::read(Va at, std::span<std::byte> into) {
  while (!into.empty()) {
    const Va page = at.aligned_down(kPageBytes);
    const std::size_t offset = at - page;
    const std::size_t n = std::min(into.size(), kPageBytes - offset);
    if (page_ != page) {
      page_.reset();
      // Memory may end within a page; what is asked for may still be there.
      if (!memory_.read(page, bytes_)) return memory_.read(at, into);
      page_ = page;
    }
    std::memcpy(into.data(), bytes_.data() + offset, n);
    into = into.subspan(n);
    at = at + n;
  }
  return {};
}

}  // namespace swat::symbols
