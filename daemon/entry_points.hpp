// Where functions of an image begin, made for asking fast: the execution log asks for every block
// that the guest executes.
#pragma once

#include <cstdint>
#include <vector>

namespace swat::daemon {

class EntryPoints {
 public:
  // Offsets from the image's base, in any order.
  explicit EntryPoints(std::vector<std::uint64_t> offsets);

  [[nodiscard]] bool contains(std::uint64_t offset) const;
  // The first behind `offset`; none: the highest number there is.
  [[nodiscard]] std::uint64_t after(std::uint64_t offset) const;
  [[nodiscard]] std::size_t size() const { return offsets_.size(); }

 private:
  [[nodiscard]] std::uint64_t hash(std::uint64_t offset) const;

  std::vector<std::uint64_t> offsets_;  // ascending
  std::vector<std::uint64_t> maybe_;    // a bit for each hash: clear, and it is none of them
  unsigned hash_bits_ = 6;
};

}  // namespace swat::daemon
