// Guest memory for tests: RAM in an array, and an address space that is an array.
#pragma once

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
    for (std::size_t i = 0; i < into.size(); ++i) {
      const std::uint64_t address = at.value + i;
      const auto page = words_.lower_bound(address & ~std::uint64_t{0xfff});
      if (page == words_.end() || page->first > (address | 0xfff)) {
        return fail(Errc::kFault, "no page there", address);
      }
      const auto word = words_.find(address & ~std::uint64_t{7});
      const std::uint64_t value = word == words_.end() ? 0 : word->second;
      into[i] = static_cast<std::byte>(value >> (address % 8 * 8));
    }
    return {};
  }

 private:
  std::map<std::uint64_t, std::uint64_t> words_;
};

}  // namespace swat::test
