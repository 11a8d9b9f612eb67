// Guest RAM of which small reads are kept by page: for finding things out in a guest that stands
// still, where the same pages are looked at from many sides. What costs is the read, not its bytes:
// a system call, or over a stub a round trip.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os {

class CachedRam final : public PhysicalMemory {
 public:
  // `ram` outlives it. Whoever lets the guest run calls forget() before the next question about it;
  // what is read until then may be as old as the last call.
  explicit CachedRam(PhysicalMemory& ram) : ram_(ram) {}

  [[nodiscard]] const std::vector<PaRange>& ranges() const override { return ram_.ranges(); }
  [[nodiscard]] Result<> read(Pa at, std::span<std::byte> into) override;
  // Never kept: a batch is one read already.
  [[nodiscard]] Result<> read_batch(std::span<const Piece> pieces) override {
    return ram_.read_batch(pieces);
  }
  void forget();

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kMostPages = 16384;  // 64 MiB
  // At most stops a word or two is all that is asked for, and a page would be too much.
  static constexpr unsigned kFewReads = 8;

  PhysicalMemory& ram_;
  unsigned reads_ = 0;                                               // since forget()
  std::unordered_map<std::uint64_t, std::vector<std::byte>> pages_;  // by number
};

}  // namespace swat::os
