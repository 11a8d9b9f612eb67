// The tables that PT_DYNAMIC of a mapped ELF image leads to: strings, symbols, relocations.
//
// For the readers of elf_image.hpp only. PT_DYNAMIC is an array of (tag, value), ended by DT_NULL.
// Values that are pointers are link-time addresses in the file; glibc's ld.so adds the load bias to
// most of them in place (all but DT_VERDEF and DT_VERNEED), musl's and uClibc's do not, and nobody
// does so for the vDSO. [gABI chapter 5; elf_get_dynamic_info in elf/get-dynamic-info.h of glibc]
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "symbols/elf_layout.hpp"
#include "symbols/memory.hpp"
#include "symbols/page_reader.hpp"

namespace swat::symbols {

// DT_STRTAB, whole.
class ElfStrings {
 public:
  ElfStrings(std::vector<std::byte> bytes, const ElfLimits& limits)
      : bytes_(std::move(bytes)),
        max_name_bytes_(limits.max_name_bytes),
        budget_(limits.max_all_names_bytes) {}
  // Lives as long as this. kBadImage: out of the table, no NUL within bounds, or too much in all.
  [[nodiscard]] Result<std::string_view> at(std::uint64_t offset);

 private:
  std::vector<std::byte> bytes_;
  std::size_t max_name_bytes_;
  std::size_t budget_;  // bytes of names still to be handed out
};

struct ElfSymbol {
  std::uint32_t name;
  std::uint8_t type;     // STT_*
  std::uint8_t binding;  // STB_*
  std::uint16_t section;
  std::uint64_t value;
  std::uint64_t size_bytes;
};

struct ElfRelocation {
  std::uint64_t offset;
  std::uint32_t type;
  std::uint32_t symbol;
  std::optional<std::uint64_t> addend;  // of a REL entry it lies in the word to relocate
};

// Element `index` of a table of raw structs, as far as the caller knows it has one.
template <class T>
[[nodiscard]] T elf_record(std::span<const std::byte> table, std::size_t index) {
  T record;
  std::memcpy(&record, table.subspan(index * sizeof(T), sizeof(T)).data(), sizeof(T));
  return record;
}

class ElfDynamic {
 public:
  // `layout` outlives this. kNotFound: it has no `dynamic`.
  [[nodiscard]] static Result<ElfDynamic> read(VirtualMemory& memory, const ElfLayout& layout);

  // The last entry of that tag wins, as it does with ld.so.
  [[nodiscard]] std::optional<std::uint64_t> value(std::int64_t tag) const;
  [[nodiscard]] bool has(std::int64_t tag) const { return value(tag).has_value(); }
  // Where the table of that tag is now. kBadImage: no such tag, or not in the image.
  [[nodiscard]] Result<Va> pointer(std::int64_t tag) const;
  // A table of the image's, read in one piece.
  [[nodiscard]] Result<std::vector<std::byte>> table(VirtualMemory& memory, Va start,
                                                     std::uint64_t size_bytes) const;

  [[nodiscard]] Result<ElfStrings> strings(VirtualMemory& memory) const;
  // Every defined symbol has an index below this. A DT_GNU_HASH without entries leaves out the
  // undefined ones, so it is no bound on what relocations may name.
  [[nodiscard]] Result<std::size_t> symbol_count(VirtualMemory& memory) const;
  [[nodiscard]] Result<std::vector<ElfSymbol>> symbols(VirtualMemory& memory,
                                                       std::size_t count) const;
  // The DT_REL(A) table without its leading RELATIVE entries, or the DT_JMPREL table; empty when
  // there is none.
  [[nodiscard]] Result<std::vector<ElfRelocation>> relocations(VirtualMemory& memory,
                                                               std::int64_t tag) const;

  [[nodiscard]] const ElfLayout& layout() const { return *layout_; }

 private:
  struct Entry {
    std::int64_t tag;
    std::uint64_t value;
  };
  struct RelocationTable {
    std::int64_t size_tag;
    std::int64_t count_tag;  // of leading RELATIVE entries
    bool has_addends;
  };

  explicit ElfDynamic(const ElfLayout& layout) : layout_(&layout) {}
  [[nodiscard]] Result<bool> decide_relocated(VirtualMemory& memory) const;
  [[nodiscard]] Result<RelocationTable> describe(std::int64_t tag) const;
  [[nodiscard]] Result<std::size_t> count_by_gnu_hash(VirtualMemory& memory) const;
  [[nodiscard]] Result<std::size_t> count_by_hash(VirtualMemory& memory) const;
  [[nodiscard]] Result<std::size_t> count_by_next_table() const;

  const ElfLayout* layout_;
  std::vector<Entry> entries_;
  bool relocated_in_place_ = false;  // asked only where a pointer can be read both ways
};

}  // namespace swat::symbols
