// Many bytes, all of them zero, in pages of their own. A vector would write the zeros itself, and
// have the pages faulted in 4 KiB at a time: for the copy of a kernel's image that was most of what
// attaching took.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace swat::os {

struct UnmapPages {
  std::size_t size = 0;
  void operator()(std::byte* pages) const;
};

class ZeroedBytes {
 public:
  ZeroedBytes() = default;
  explicit ZeroedBytes(std::size_t size);  // throws bad_alloc, as a vector does

  [[nodiscard]] std::size_t size() const { return pages_ ? pages_.get_deleter().size : 0; }
  [[nodiscard]] std::span<std::byte> all() { return {pages_.get(), size()}; }
  [[nodiscard]] std::span<const std::byte> all() const { return {pages_.get(), size()}; }

 private:
  std::unique_ptr<std::byte[], UnmapPages> pages_;
};

}  // namespace swat::os
