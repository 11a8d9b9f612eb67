// A copy of the guest bytes around one kernel object, for looking at many offsets of it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os {

struct Blob {
  Va at;
  std::vector<std::byte> bytes;

  // 0 beyond the end, as where nothing was readable.
  template <class T>
  [[nodiscard]] T load(std::size_t offset) const {
    T value{};
    if (offset <= bytes.size() && bytes.size() - offset >= sizeof(T)) {
      std::memcpy(&value, bytes.data() + offset, sizeof(T));
    }
    return value;
  }
  [[nodiscard]] std::uint64_t word(std::size_t offset) const { return load<std::uint64_t>(offset); }
};

// Pages that cannot be read are zero in the result.
[[nodiscard]] inline Blob read_sparse(VirtualMemory& memory, Va at, std::size_t size_bytes) {
  constexpr std::size_t kPage = 4096;
  Blob blob{at, std::vector<std::byte>(size_bytes)};
  for (std::size_t done = 0; done < size_bytes;) {
    const std::size_t n =
        std::min(kPage - static_cast<std::size_t>((at + done).value % kPage), size_bytes - done);
    const auto into = std::span(blob.bytes).subspan(done, n);
    if (!memory.read(at + done, into)) std::ranges::fill(into, std::byte{0});
    done += n;
  }
  return blob;
}

// The lowest address that x86_64 Linux uses for its own data since 2.6.11.
// [Documentation/arch/x86/x86_64/mm.rst]
inline constexpr std::uint64_t kLowestKernelAddress = 0xffff800000000000;

[[nodiscard]] constexpr bool is_kernel_address(std::uint64_t value) {
  return value >= kLowestKernelAddress;
}
[[nodiscard]] constexpr bool is_kernel_pointer(std::uint64_t value) {
  return is_kernel_address(value) && value % sizeof(std::uint64_t) == 0;
}
[[nodiscard]] constexpr bool is_user_page(std::uint64_t value) {
  return value % 4096 == 0 && value < (std::uint64_t{1} << 56);
}

}  // namespace swat::os
