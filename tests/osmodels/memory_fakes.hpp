// Guest memory for tests: RAM in an array, and an address space that is an array.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::test {

// RAM from physical 0 upwards.
class ArrayRam final : public PhysicalMemory {
 public:
  explicit ArrayRam(std::size_t size_bytes) : bytes_(size_bytes) {
    ranges_ = {{Pa{0}, Pa{size_bytes}}};
  }

  const std::vector<PaRange>& ranges() const override { return ranges_; }
  Result<> read(Pa at, std::span<std::byte> into) override {
    ++reads;
    if (at.value > bytes_.size() || bytes_.size() - at.value < into.size()) {
      return fail(Errc::kFault, "no RAM there", at.value);
    }
    std::memcpy(into.data(), bytes_.data() + at.value, into.size());
    return {};
  }

  template <class T>
  void store(std::uint64_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }

  std::size_t reads = 0;

 private:
  std::vector<std::byte> bytes_;
  std::vector<PaRange> ranges_;
};

// Words at virtual addresses; everything else in a page that has one is zero.
class WordMemory final : public VirtualMemory {
 public:
  void store(std::uint64_t at, std::uint64_t value) { words_[at] = value; }

  Result<> read(Va at, std::span<std::byte> into) override {
    for (std::size_t done = 0; done < into.size();) {
      const std::uint64_t address = at.value + done;
      if ((done == 0 || address % kPage == 0) && !has_page(address)) {
        return fail(Errc::kFault, "no page there", address);
      }
      const std::uint64_t within = address % sizeof(std::uint64_t);
      const auto word = words_.find(address - within);
      const std::uint64_t value = word == words_.end() ? 0 : word->second >> (within * 8);
      const auto piece = std::min<std::size_t>(sizeof(value) - within, into.size() - done);
      std::memcpy(into.data() + done, &value, piece);
      done += piece;
    }
    return {};
  }

 private:
  static constexpr std::uint64_t kPage = 0x1000;

  [[nodiscard]] bool has_page(std::uint64_t address) const {
    const auto first = words_.lower_bound(address & ~(kPage - 1));
    return first != words_.end() && first->first <= (address | (kPage - 1));
  }

  std::map<std::uint64_t, std::uint64_t> words_;
};

}  // namespace swat::test
