// Guest RAM of which small reads are kept by page: for finding things out in a guest that stands
// still, where the same pages are looked at from many sides. Over a stub each read is a round trip.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os {

class CachedRam final : public PhysicalMemory {
 public:
  // `ram` outlives it. The guest does not run while this is used.
  explicit CachedRam(PhysicalMemory& ram) : ram_(ram) {}

  [[nodiscard]] const std::vector<PaRange>& ranges() const override { return ram_.ranges(); }
  [[nodiscard]] Result<> read(Pa at, std::span<std::byte> into) override;

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kMostPages = 16384;  // 64 MiB

  PhysicalMemory& ram_;
  std::unordered_map<std::uint64_t, std::vector<std::byte>> pages_;  // by number
};

}  // namespace swat::os
