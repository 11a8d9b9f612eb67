// A copy of the guest bytes around one kernel object, for looking at many offsets of it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "osmodels/linux/kernel_layout.hpp"
#include "symbols/memory.hpp"

namespace swat::os {

struct Blob {
  Va at;
  std::vector<std::byte> bytes;
  unsigned word_bytes;  // of the kernel that it is of

  // 0 beyond the end, as where nothing was readable.
  template <class T>
  [[nodiscard]] T load(std::size_t offset) const {
    T value{};
    copy(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  [[nodiscard]] std::uint64_t word(std::size_t offset) const {
    std::uint64_t value = 0;
    copy(offset, std::as_writable_bytes(std::span(&value, 1)).first(word_bytes));
    return value;
  }

 private:
  void copy(std::size_t offset, std::span<std::byte> into) const {
    if (offset > bytes.size() || bytes.size() - offset < into.size()) return;
    std::memcpy(into.data(), bytes.data() + offset, into.size());
  }
};

// Pages that cannot be read are zero in the result.
[[nodiscard]] inline Blob read_sparse(VirtualMemory& memory, Va at, std::size_t size_bytes,
                                      const KernelLayout& layout) {
  constexpr std::size_t kPage = 4096;
  Blob blob{at, std::vector<std::byte>(size_bytes), layout.word_bytes};
  for (std::size_t done = 0; done < size_bytes;) {
    const std::size_t n =
        std::min(kPage - static_cast<std::size_t>((at + done).value % kPage), size_bytes - done);
    const auto into = std::span(blob.bytes).subspan(done, n);
    if (!memory.read(at + done, into)) std::ranges::fill(into, std::byte{0});
    done += n;
  }
  return blob;
}

}  // namespace swat::os
