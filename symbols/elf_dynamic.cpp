#include "symbols/elf_dynamic.hpp"

#include <elf.h>

#include <algorithm>
#include <ranges>
#include <string>

namespace swat::symbols {
namespace {

// The tags that glibc's ld.so relocates in place.
// [elf_get_dynamic_info, ADJUST_DYN_INFO, in elf/get-dynamic-info.h of glibc 2.36; since 2.0]
constexpr std::int64_t kAdjusted[] = {DT_HASH, DT_PLTGOT, DT_STRTAB, DT_SYMTAB,  DT_RELA,
                                      DT_REL,  DT_JMPREL, DT_VERSYM, DT_GNU_HASH};

// Tables one of which may follow the symbol table.
constexpr std::int64_t kTables[] = {DT_HASH,   DT_GNU_HASH, DT_STRTAB, DT_RELA,   DT_REL,
                                    DT_JMPREL, DT_VERSYM,   DT_VERDEF, DT_VERNEED};

static_assert(sizeof(Elf64_Sym) == 24 && sizeof(Elf32_Sym) == 16);
static_assert(sizeof(Elf64_Dyn) == 16 && sizeof(Elf32_Dyn) == 8);
static_assert(sizeof(Elf64_Rela) == 24 && sizeof(Elf64_Rel) == 16);
static_assert(sizeof(Elf32_Rela) == 12 && sizeof(Elf32_Rel) == 8);

template <class Raw>
ElfSymbol decode_symbol(const Raw& raw) {
  return {.name = raw.st_name,
          .type = static_cast<std::uint8_t>(raw.st_info & 0xf),
          .binding = static_cast<std::uint8_t>(raw.st_info >> 4),
          .section = raw.st_shndx,
          .value = raw.st_value,
          .size_bytes = raw.st_size};
}

// r_info: 24 bits of symbol and 8 of type in ELF32, 32 and 32 in ELF64.
template <class Raw>
ElfRelocation decode_relocation(const Raw& raw) {
  constexpr unsigned kTypeBits = sizeof(raw.r_info) == 8 ? 32 : 8;
  const std::uint64_t info = raw.r_info;
  ElfRelocation out{
      .offset = raw.r_offset,
      .type = static_cast<std::uint32_t>(info & ((std::uint64_t{1} << kTypeBits) - 1)),
      .symbol = static_cast<std::uint32_t>(info >> kTypeBits),
      .addend = {}};
  if constexpr (requires { raw.r_addend; }) {
    // An addend wraps with the image's addresses.
    using Addend = std::make_unsigned_t<decltype(raw.r_addend)>;
    out.addend = static_cast<Addend>(raw.r_addend);
  }
  return out;
}

template <class Raw, class Decoder>
auto decode_all(std::span<const std::byte> bytes, Decoder decode) {
  std::vector<decltype(decode(Raw{}))> out;
  const std::size_t count = bytes.size() / sizeof(Raw);
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) out.push_back(decode(elf_record<Raw>(bytes, i)));
  return out;
}

std::vector<ElfRelocation> decode_relocations(std::span<const std::byte> bytes, bool is_64_bit,
                                              bool has_addends) {
  const auto decode = [](const auto& raw) { return decode_relocation(raw); };
  if (is_64_bit) {
    return has_addends ? decode_all<Elf64_Rela>(bytes, decode)
                       : decode_all<Elf64_Rel>(bytes, decode);
  }
  return has_addends ? decode_all<Elf32_Rela>(bytes, decode) : decode_all<Elf32_Rel>(bytes, decode);
}

}  // namespace

Result<std::string_view> ElfStrings::at(std::uint64_t offset) {
  if (offset >= bytes_.size()) return fail(Errc::kBadImage, "ELF string outside DT_STRTAB");
  const auto rest = std::span(bytes_).subspan(static_cast<std::size_t>(offset));
  const std::size_t bound = std::min(rest.size(), max_name_bytes_);
  const void* nul = std::memchr(rest.data(), 0, bound);
  if (nul == nullptr) return fail(Errc::kBadImage, "ELF string without an end");
  const auto length = static_cast<std::size_t>(static_cast<const std::byte*>(nul) - rest.data());
  if (length > budget_) return fail(Errc::kBadImage, "too many bytes of ELF names");
  budget_ -= length;
  return std::string_view(reinterpret_cast<const char*>(rest.data()), length);
}

Result<ElfDynamic> ElfDynamic::read(VirtualMemory& memory, const ElfLayout& layout) {
  if (!layout.dynamic) return fail(Errc::kNotFound, "ELF image without PT_DYNAMIC");
  ElfDynamic out(layout);
  PageReader pages(memory);
  const std::size_t entry_bytes = layout.is_64_bit ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
  // As ld.so: up to DT_NULL, whatever p_memsz says.
  for (Va at = layout.dynamic->start;; at = at + entry_bytes) {
    if (out.entries_.size() == layout.limits.max_dynamic_entries) {
      return fail(Errc::kBadImage, "too many entries in PT_DYNAMIC", at.value);
    }
    if (!layout.contains(at, entry_bytes)) {
      return fail(Errc::kBadImage, "PT_DYNAMIC without DT_NULL", at.value);
    }
    Entry entry;
    if (layout.is_64_bit) {
      const auto raw = SWAT_TRY(read_as<Elf64_Dyn>(pages, at));
      entry = {raw.d_tag, raw.d_un.d_val};
    } else {
      const auto raw = SWAT_TRY(read_as<Elf32_Dyn>(pages, at));
      entry = {raw.d_tag, raw.d_un.d_val};
    }
    if (entry.tag == DT_NULL) break;
    out.entries_.push_back(entry);
  }
  out.relocated_in_place_ = SWAT_TRY(out.decide_relocated(memory));
  return out;
}

std::optional<std::uint64_t> ElfDynamic::value(std::int64_t tag) const {
  for (const Entry& entry : entries_ | std::views::reverse) {
    if (entry.tag == tag) return entry.value;
  }
  return {};
}

// An image that is loaded near its link address (prelink) leaves both readings of a pointer inside
// it. The symbol table tells them apart: it begins with an entry of zeros. [gABI, "Symbol Table"]
Result<bool> ElfDynamic::decide_relocated(VirtualMemory& memory) const {
  const std::optional<std::uint64_t> raw = value(DT_SYMTAB);
  const std::size_t size = layout_->is_64_bit ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
  if (!raw || layout_->load_bias == 0) return false;
  if (!layout_->contains(Va{*raw}, size)) return false;
  if (!layout_->contains(layout_->at(*raw), size)) return true;
  const auto first = SWAT_TRY(read_bytes(memory, Va{*raw}, size));
  return std::ranges::all_of(first, [](std::byte b) { return b == std::byte{0}; });
}

Result<Va> ElfDynamic::pointer(std::int64_t tag) const {
  const std::optional<std::uint64_t> raw = value(tag);
  if (!raw) return fail(Errc::kBadImage, "PT_DYNAMIC lacks a table that it needs");
  const bool relocated_fits = layout_->contains(Va{*raw}, 1);
  const Va linked = layout_->at(*raw);
  const bool linked_fits = layout_->contains(linked, 1);
  if (!relocated_fits && !linked_fits) {
    return fail(Errc::kBadImage, "pointer in PT_DYNAMIC leads out of the image", raw);
  }
  if (relocated_fits && linked_fits) {
    const bool adjusted = std::ranges::find(kAdjusted, tag) != std::end(kAdjusted);
    return adjusted && relocated_in_place_ ? Va{*raw} : linked;
  }
  return relocated_fits ? Va{*raw} : linked;
}

Result<std::vector<std::byte>> ElfDynamic::table(VirtualMemory& memory, Va start,
                                                 std::uint64_t size_bytes) const {
  if (!layout_->contains(start, size_bytes)) {
    return fail(Errc::kBadImage, "ELF table reaches out of its image", start.value);
  }
  return read_bytes(memory, start, static_cast<std::size_t>(size_bytes));
}

Result<ElfStrings> ElfDynamic::strings(VirtualMemory& memory) const {
  const Va start = SWAT_TRY(pointer(DT_STRTAB));
  const std::optional<std::uint64_t> size = value(DT_STRSZ);
  if (!size || *size > layout_->limits.max_string_bytes) {
    return fail(Errc::kBadImage, "DT_STRSZ is missing or too large", start.value);
  }
  return ElfStrings(SWAT_TRY(table(memory, start, *size)), layout_->limits);
}

Result<std::size_t> ElfDynamic::symbol_count(VirtualMemory& memory) const {
  const std::size_t count = has(DT_GNU_HASH) ? SWAT_TRY(count_by_gnu_hash(memory))
                            : has(DT_HASH)   ? SWAT_TRY(count_by_hash(memory))
                                             : SWAT_TRY(count_by_next_table());
  if (count > layout_->limits.max_symbols) return fail(Errc::kBadImage, "too many ELF symbols");
  return count;
}

// Header (buckets, first hashed symbol, Bloom words, shift), the Bloom filter in words of the
// image's size, the buckets (first symbol of each, 0 when empty), then one hash a symbol, whose bit
// 0 ends its bucket's chain. Symbols are sorted by bucket, so the last chain's end is the table's.
// [do_lookup_x, _dl_setup_hash in elf/dl-lookup.c, dl-setup_hash.c of glibc; since 2.5]
Result<std::size_t> ElfDynamic::count_by_gnu_hash(VirtualMemory& memory) const {
  struct Header {
    std::uint32_t bucket_count, first_symbol, bloom_words, bloom_shift;
  };
  static_assert(sizeof(Header) == 16);

  const std::size_t limit = layout_->limits.max_symbols;
  const Va start = SWAT_TRY(pointer(DT_GNU_HASH));
  if (!layout_->contains(start, sizeof(Header))) {
    return fail(Errc::kBadImage, "DT_GNU_HASH reaches out of its image", start.value);
  }
  const auto header = SWAT_TRY(read_as<Header>(memory, start));
  if (header.bucket_count > limit || header.first_symbol > limit || header.bloom_words > limit) {
    return fail(Errc::kBadImage, "DT_GNU_HASH is too large", start.value);
  }
  const std::uint64_t buckets_at =
      sizeof(Header) + std::uint64_t{header.bloom_words} * (layout_->is_64_bit ? 8 : 4);
  const std::uint64_t chains_at = buckets_at + std::uint64_t{header.bucket_count} * 4;
  if (!layout_->contains(start, chains_at)) {
    return fail(Errc::kBadImage, "DT_GNU_HASH reaches out of its image", start.value);
  }
  const auto buckets = SWAT_TRY(table(memory, start + buckets_at, chains_at - buckets_at));
  std::uint32_t last = 0;
  for (std::size_t i = 0; i < header.bucket_count; ++i) {
    last = std::max(last, elf_record<std::uint32_t>(buckets, i));
  }
  if (last == 0) return header.first_symbol;
  if (last < header.first_symbol) {
    return fail(Errc::kBadImage, "bucket of DT_GNU_HASH names no hashed symbol", start.value);
  }
  PageReader pages(memory);
  for (std::uint64_t i = last; i < limit; ++i) {
    const std::uint64_t offset = chains_at + (i - header.first_symbol) * 4;
    if (!layout_->contains(start, offset + 4)) break;
    if (SWAT_TRY(read_as<std::uint32_t>(pages, start + offset)) & 1) {
      return static_cast<std::size_t>(i + 1);
    }
  }
  return fail(Errc::kBadImage, "chain of DT_GNU_HASH without an end", start.value);
}

// nbucket, nchain, ...; nchain is the number of symbols. [gABI, "Hash Table"]
Result<std::size_t> ElfDynamic::count_by_hash(VirtualMemory& memory) const {
  const Va start = SWAT_TRY(pointer(DT_HASH));
  if (!layout_->contains(start, 8)) {
    return fail(Errc::kBadImage, "DT_HASH reaches out of its image", start.value);
  }
  return SWAT_TRY(read_as<std::uint32_t>(memory, start + 4));
}

// No hash table says how many there are: then up to whatever table lies next.
Result<std::size_t> ElfDynamic::count_by_next_table() const {
  const Va start = SWAT_TRY(pointer(DT_SYMTAB));
  std::optional<Va> next;
  for (const std::int64_t tag : kTables) {
    const Result<Va> other = pointer(tag);
    if (other && start < *other && (!next || *other < *next)) next = *other;
  }
  if (!next) return fail(Errc::kBadImage, "number of ELF symbols unknown", start.value);
  const std::size_t entry = layout_->is_64_bit ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
  return static_cast<std::size_t>((*next - start) / entry);
}

Result<std::vector<ElfSymbol>> ElfDynamic::symbols(VirtualMemory& memory, std::size_t count) const {
  const Va start = SWAT_TRY(pointer(DT_SYMTAB));
  const std::size_t entry = layout_->is_64_bit ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
  if (value(DT_SYMENT).value_or(entry) != entry || count > layout_->limits.max_symbols) {
    return fail(Errc::kBadImage, "DT_SYMTAB with symbols of odd size or number", start.value);
  }
  const auto bytes = SWAT_TRY(table(memory, start, std::uint64_t{count} * entry));
  const auto decode = [](const auto& raw) { return decode_symbol(raw); };
  return layout_->is_64_bit ? decode_all<Elf64_Sym>(bytes, decode)
                            : decode_all<Elf32_Sym>(bytes, decode);
}

Result<ElfDynamic::RelocationTable> ElfDynamic::describe(std::int64_t tag) const {
  if (tag == DT_RELA) return RelocationTable{DT_RELASZ, DT_RELACOUNT, true};
  if (tag == DT_REL) return RelocationTable{DT_RELSZ, DT_RELCOUNT, false};
  const std::optional<std::uint64_t> kind = value(DT_PLTREL);
  if (kind != DT_RELA && kind != DT_REL) {
    return fail(Errc::kBadImage, "DT_PLTREL is neither DT_RELA nor DT_REL");
  }
  return RelocationTable{DT_PLTRELSZ, DT_NULL, kind == DT_RELA};
}

Result<std::vector<ElfRelocation>> ElfDynamic::relocations(VirtualMemory& memory,
                                                           std::int64_t tag) const {
  if (!has(tag)) return std::vector<ElfRelocation>{};
  const RelocationTable facts = SWAT_TRY(describe(tag));
  const std::uint64_t size = value(facts.size_tag).value_or(0);
  if (size == 0) return std::vector<ElfRelocation>{};  // then the pointer may be anything

  const std::size_t entry = facts.has_addends
                                ? (layout_->is_64_bit ? sizeof(Elf64_Rela) : sizeof(Elf32_Rela))
                                : (layout_->is_64_bit ? sizeof(Elf64_Rel) : sizeof(Elf32_Rel));
  const std::uint64_t claimed = value(facts.has_addends ? DT_RELAENT : DT_RELENT).value_or(entry);
  const Va start = SWAT_TRY(pointer(tag));
  // RELATIVE entries come first and can be many: a C++ library's vtables.
  const std::uint64_t skipped = value(facts.count_tag).value_or(0);
  if (claimed != entry || size % entry != 0 || skipped > size / entry ||
      size / entry - skipped > layout_->limits.max_relocations) {
    return fail(Errc::kBadImage, "relocations of odd size or number", start.value);
  }
  if (!layout_->contains(start, size)) {
    return fail(Errc::kBadImage, "relocations reach out of their image", start.value);
  }
  const auto bytes = SWAT_TRY(table(memory, start + skipped * entry, size - skipped * entry));
  return decode_relocations(bytes, layout_->is_64_bit, facts.has_addends);
}

}  // namespace swat::symbols
