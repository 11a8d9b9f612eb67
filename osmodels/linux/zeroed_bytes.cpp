#include "osmodels/linux/zeroed_bytes.hpp"

#include <sys/mman.h>

#include <new>

namespace swat::os {

ZeroedBytes::ZeroedBytes(std::size_t size) {
  if (size == 0) return;
  void* const pages =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  madvise(pages, size, MADV_HUGEPAGE);  // a wish: without, there are more page faults
  pages_ = {static_cast<std::byte*>(pages), UnmapPages{size}};
}

void UnmapPages::operator()(std::byte* pages) const { munmap(pages, size); }

}  // namespace swat::os
