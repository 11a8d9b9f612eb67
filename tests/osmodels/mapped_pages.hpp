// User pages of a test's making, and what is in them.
#pragma once

#include <cstring>
#include <span>
#include <string_view>

#include "memory_fakes.hpp"
#include "osmodels/linux/mapped_images.hpp"

namespace swat::test {

class MappedPages : public VirtualMemory {
 public:
  static constexpr std::uint64_t kPage = 4096;

  // One page more, the next of RAM unless `to` says which.
  Pa map(Va at, bool executable = false, Pa to = {}) {
    if (to.is_null()) {
      to = next_;
      next_ = next_ + kPage;
    }
    pages[at] = {to, executable};
    return to;
  }
  void put(Va at, std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const Va here = at + i;
      ram.store((pages.at(here.aligned_down(kPage)).at + here.value % kPage).value, bytes[i]);
    }
  }
  void put_text(Va at, std::string_view text) { put(at, std::as_bytes(std::span(text))); }

  Result<> read(Va at, std::span<std::byte> into) override {
    for (std::size_t i = 0; i < into.size(); ++i) {
      const Va here = at + i;
      const auto page = pages.find(here.aligned_down(kPage));
      if (page == pages.end()) return fail(Errc::kFault, "page not present", here.value);
      SWAT_CHECK(ram.read(page->second.at + here.value % kPage, into.subspan(i, 1)));
    }
    return {};
  }

  ArrayRam ram{1 << 20};
  os::UserPages pages;

 private:
  Pa next_{kPage};
};

}  // namespace swat::test
