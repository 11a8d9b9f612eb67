// A whole ELF64 library of three pages, written byte by byte, so that a test can make any part lie.
#pragma once

#include <elf.h>

#include <cstring>
#include <optional>
#include <set>
#include <vector>

#include "symbols/elf_image.hpp"
#include "symbols/memory.hpp"

namespace swat::symbols {

class TinyElf final : public VirtualMemory {
 public:
  static constexpr Va kBase{0x5555'0000'0000};
  static constexpr std::uint64_t kPage = 4096;
  static constexpr std::uint64_t kBytes = 3 * kPage;
  // Where things are, from the base; their link-time addresses too.
  static constexpr std::uint64_t kSegments = 0x40, kDynamic = 0x200, kNotes = 0x400;
  static constexpr std::uint64_t kSymbols = 0x1000, kGnuHash = 0x1100, kHash = 0x1200;
  static constexpr std::uint64_t kStrings = 0x1300, kStringBytes = 64, kNumbers = 0x1400;
  static constexpr std::uint64_t kVersions = 0x1500, kRelocations = 0x1600, kJumpSlots = 0x1700;
  static constexpr std::uint64_t kCode = 0x2000, kSlots = 0x2800;

  // Exports `call`@@V1 at kCode and the IFUNC `pick` at kCode + 16, imports `need` by a JUMP_SLOT
  // and a GLOB_DAT, has an IRELATIVE slot for `pick` and an object `datum`.
  TinyElf();

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;
  void lose_page(std::uint64_t number) { lost_ = number; }

  template <class T>
  void put(std::uint64_t at, const T& value) {
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }
  template <class T>
  [[nodiscard]] T get(std::uint64_t at) const {
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }
  void set_dynamic(std::int64_t tag, std::uint64_t value);
  void rename_dynamic(std::int64_t tag, std::int64_t to);

  [[nodiscard]] std::vector<std::byte>& bytes() { return bytes_; }

 private:
  [[nodiscard]] std::uint64_t find_dynamic(std::int64_t tag) const;
  void put_segments();
  void put_dynamic();
  void put_symbols();
  void put_versions();
  void put_relocations();

  std::vector<std::byte> bytes_;
  std::optional<std::uint64_t> lost_;
};

}  // namespace swat::symbols
