#include "daemon/entry_points.hpp"

#include <algorithm>
#include <bit>

namespace swat::daemon {
namespace {

// One offset in 32 that is no entry passes the first look; libc's table is 12 KiB.
constexpr std::size_t kBitsPerEntry = 32;
constexpr unsigned kMostHashBits = 24;  // 2 MiB

}  // namespace

EntryPoints::EntryPoints(std::vector<std::uint64_t> offsets) : offsets_(std::move(offsets)) {
  std::sort(offsets_.begin(), offsets_.end());
  offsets_.erase(std::unique(offsets_.begin(), offsets_.end()), offsets_.end());
  const auto wanted = static_cast<unsigned>(std::bit_width(offsets_.size() * kBitsPerEntry));
  hash_bits_ = std::clamp(wanted, hash_bits_, kMostHashBits);
  maybe_.resize((std::size_t{1} << hash_bits_) / 64);
  for (const std::uint64_t offset : offsets_) {
    const std::uint64_t bit = hash(offset);
    maybe_[bit / 64] |= std::uint64_t{1} << bit % 64;
  }
}

// Fibonacci hashing: functions are aligned, low bits alone would collide.
std::uint64_t EntryPoints::hash(std::uint64_t offset) const {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;
  return offset * kGolden >> (64 - hash_bits_);
}

std::uint64_t EntryPoints::after(std::uint64_t offset) const {
  const auto next = std::upper_bound(offsets_.begin(), offsets_.end(), offset);
  return next == offsets_.end() ? ~std::uint64_t{0} : *next;
}

bool EntryPoints::contains(std::uint64_t offset) const {
  const std::uint64_t bit = hash(offset);
  if ((maybe_[bit / 64] >> bit % 64 & 1) == 0) return false;
  return std::binary_search(offsets_.begin(), offsets_.end(), offset);
}

}  // namespace swat::daemon
