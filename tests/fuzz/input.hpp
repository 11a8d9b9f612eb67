// What fuzz targets make of their input: numbers, guest RAM, an address space.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "symbols/kernel_image.hpp"
#include "symbols/memory.hpp"

namespace swat::fuzz {

inline void require(bool holds) {
  if (!holds) std::abort();
}

// The input from its start on; zeros behind its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(std::as_bytes(std::span(data, size))) {}

  template <class T>
  [[nodiscard]] T take() {
    T value{};
    const auto bytes = take_bytes(sizeof(T));
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  // Fewer where there are no more.
  [[nodiscard]] std::span<const std::byte> take_bytes(std::size_t size_bytes) {
    const auto taken = rest_.first(std::min(size_bytes, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }

 private:
  std::span<const std::byte> rest_;
};

// All of the input as a kernel image; its first byte chooses the pointer's size.
inline symbols::KernelImage take_image(Input& input) {
  const bool narrow = (input.take<std::uint8_t>() & 1) != 0;
  return {Va{narrow ? 0xc1000000 : 0xffffffff81000000}, input.rest(), narrow ? 4u : 8u};
}

// Bytes that lie at `base`, with nothing around them: code.
class SpanMemory final : public VirtualMemory {
 public:
  SpanMemory(Va base, std::span<const std::byte> bytes) : base_(base), bytes_(bytes) {}

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    const std::uint64_t offset = at - base_;
    if (offset > bytes_.size() || bytes_.size() - offset < into.size()) {
      return fail(Errc::kFault, "not there", at.value);
    }
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }

 private:
  Va base_;
  std::span<const std::byte> bytes_;
};

// Guest RAM of which the input has what is not zero, in runs of words: each is the number of a word
// (32 bits), how many words there are (8 bits), and those words, of 8 bytes. cut_memory writes it.
class InputRam final : public PhysicalMemory {
 public:
  static constexpr std::uint64_t kBytes = std::uint64_t{1} << 32;
  static constexpr std::size_t kWordBytes = 8;
  static constexpr std::size_t kPageBytes = 4096;

  // Of pages that the input has no word of.
  enum class Others { kAreZero, kAreMissing };
  explicit InputRam(Others others) : others_(others), ranges_{{Pa{0}, Pa{kBytes}}} {}

  // All of the input that is left. To be kept from one input to the next: allocating its pages
  // costs more than most walks over them.
  void load(Input& input) {
    known_.reset();
    numbers_.clear();
    while (!input.rest().empty()) {
      const Pa at{input.take<std::uint32_t>() * std::uint64_t{kWordBytes} % kBytes};
      if (!put(at, input.take_bytes(input.take<std::uint8_t>() * kWordBytes))) return;
    }
  }

  [[nodiscard]] const std::vector<PaRange>& ranges() const override { return ranges_; }
  [[nodiscard]] Result<> read(Pa at, std::span<std::byte> into) override {
    if (at.value > kBytes || kBytes - at.value < into.size()) {
      return fail(Errc::kFault, "beyond the RAM", at.value);
    }
    while (!into.empty()) {
      const std::size_t offset = at.value % kPageBytes;
      const auto piece = into.first(std::min(kPageBytes - offset, into.size()));
      if (const Page* page = find(at)) {
        std::memcpy(piece.data(), page->data() + offset, piece.size());
      } else if (others_ == Others::kAreZero) {
        std::ranges::fill(piece, std::byte{0});
      } else {
        return fail(Errc::kFault, "not in the input", at.value);
      }
      at = at + piece.size();
      into = into.subspan(piece.size());
    }
    return {};
  }

 private:
  using Page = std::array<std::byte, kPageBytes>;
  static constexpr std::size_t kMostPages = 256;  // what the input has beyond is not looked at
  static constexpr std::size_t kSlots = 4096;     // by the low bits of a page's number

  [[nodiscard]] Page* find(Pa at) {
    const std::uint64_t number = at.value / kPageBytes;
    if (!known_[number % kSlots]) return nullptr;
    const auto found = std::ranges::find(numbers_, number);
    return found == numbers_.end() ? nullptr
                                   : &pages_[static_cast<std::size_t>(found - numbers_.begin())];
  }
  // Null: too many.
  [[nodiscard]] Page* find_or_add(Pa at) {
    if (Page* page = find(at)) return page;
    if (numbers_.size() == kMostPages) return nullptr;
    const std::uint64_t number = at.value / kPageBytes;
    numbers_.push_back(number);
    known_.set(number % kSlots);
    if (pages_.size() < numbers_.size()) pages_.emplace_back();
    Page& page = pages_[numbers_.size() - 1];
    page.fill(std::byte{0});
    return &page;
  }
  bool put(Pa at, std::span<const std::byte> words) {
    while (!words.empty() && at.value < kBytes) {
      Page* page = find_or_add(at);
      if (page == nullptr) return false;
      const std::size_t offset = at.value % kPageBytes;
      const auto piece = words.first(std::min(kPageBytes - offset, words.size()));
      std::memcpy(page->data() + offset, piece.data(), piece.size());
      at = at + piece.size();
      words = words.subspan(piece.size());
    }
    return true;
  }

  Others others_;
  std::vector<PaRange> ranges_;
  std::bitset<kSlots> known_;
  std::vector<std::uint64_t> numbers_;
  std::vector<Page> pages_;  // of those numbers, and some that were used before
};

// Addresses from `base` on, which are those of the RAM in the same order: a kernel's direct map, or
// one image. One page may be missing.
class InputMemory final : public VirtualMemory {
 public:
  InputMemory(InputRam& ram, Va base, std::optional<std::uint64_t> lost_page = {})
      : ram_(ram), base_(base), lost_page_(lost_page) {}

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    const std::uint64_t offset = at - base_;
    const std::uint64_t last = offset + into.size() - (into.empty() ? 0 : 1);
    if (lost_page_ && offset / InputRam::kPageBytes <= *lost_page_ &&
        last / InputRam::kPageBytes >= *lost_page_) {
      return fail(Errc::kFault, "lost", at.value);
    }
    Result<> got = ram_.read(Pa{offset}, into);
    if (!got) got.error().guest = at.value;
    return got;
  }

 private:
  InputRam& ram_;
  Va base_;
  std::optional<std::uint64_t> lost_page_;
};

}  // namespace swat::fuzz
