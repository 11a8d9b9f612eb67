// Small records out of few reads.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "symbols/memory.hpp"

namespace swat::symbols {

// Keeps the page it read last. Lives no longer than one query.
class PageReader final : public VirtualMemory {
 public:
  explicit PageReader(VirtualMemory& memory) : memory_(memory) {}
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;

 private:
  static constexpr std::size_t kPageBytes = 4096;

  VirtualMemory& memory_;
  std::optional<Va> page_;
  std::array<std::byte, kPageBytes> bytes_;
};

}  // namespace swat::symbols
