// A whole PE32+ library of three pages, written byte by byte, so that a test can make any part lie.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::symbols {

class TinyPe final : public VirtualMemory {
 public:
  static constexpr Va kBase{0x7ff8'0000'0000};
  static constexpr std::uint64_t kPage = 4096;
  static constexpr std::uint32_t kBytes = 3 * kPage;
  // Where things are, from the base.
  static constexpr std::uint32_t kHeader = 0x80, kOptional = kHeader + 24;
  static constexpr std::uint32_t kDirectories = kOptional + 112, kSections = kOptional + 240;
  static constexpr std::uint32_t kCode = 0x1000, kTables = 0x2000;
  static constexpr std::uint32_t kExports = kTables, kExportBytes = 0x100;
  static constexpr std::uint32_t kFunctions = kTables + 40, kNames = kFunctions + 16;
  static constexpr std::uint32_t kIndexes = kNames + 12, kTexts = kTables + 0x80;
  static constexpr std::uint32_t kImports = kTables + 0x200, kLookups = kTables + 0x280;
  static constexpr std::uint32_t kSlots = kTables + 0x2c0, kDelayed = kTables + 0x300;
  static constexpr std::uint32_t kDelayedLookups = kTables + 0x340, kDelayedSlots = kTables + 0x360;
  static constexpr std::uint32_t kDebug = kTables + 0x400, kRsds = kTables + 0x440;

  // Exports from ordinal 5 on: `call` at kCode, `datum` at kTables + 0x500, nothing, `far` that
  // forwards to "other.far". Imports `need` and ordinal 9 of "other.dll", and `late` of "late.dll".
  TinyPe();

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;
  void lose_page(std::uint64_t number) { lost_ = number; }

  template <class T>
  void put(std::uint32_t at, const T& value) {
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }
  void put_text(std::uint32_t at, std::string_view text) {
    std::memcpy(bytes_.data() + at, text.data(), text.size());
  }
  [[nodiscard]] std::vector<std::byte>& bytes() { return bytes_; }

 private:
  void put_words(std::uint32_t at, std::initializer_list<std::uint32_t> words) {
    for (const std::uint32_t word : words) put(std::exchange(at, at + 4), word);
  }
  void put_headers();
  void put_exports();
  void put_imports();
  void put_debug();

  std::vector<std::byte> bytes_;
  std::optional<std::uint64_t> lost_;
};

}  // namespace swat::symbols
