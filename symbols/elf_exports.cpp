#include <elf.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "symbols/elf_dynamic.hpp"
#include "symbols/elf_image.hpp"
#include "symbols/elf_machine.hpp"

namespace swat::symbols {
namespace {

constexpr std::uint16_t kVersionMask = 0x7fff;
constexpr std::uint16_t kHiddenVersion = 0x8000;

// The same in both classes. [Linux Standard Base, "Symbol Versioning"]
static_assert(sizeof(Elf64_Verdef) == 20 && sizeof(Elf32_Verdef) == 20);
static_assert(sizeof(Elf64_Verdaux) == 8 && sizeof(Elf32_Verdaux) == 8);

// Version index of DT_VERSYM to name in DT_STRTAB; the base version, which is the file's own name,
// has none.
using Versions = std::unordered_map<std::uint16_t, std::optional<std::uint32_t>>;

// DT_VERDEF: DT_VERDEFNUM records linked by vd_next, relative to themselves, each with a list of
// names of which the first is its own and the others its parents'.
Result<Versions> read_versions(VirtualMemory& memory, const ElfDynamic& dynamic) {
  Versions versions{{VER_NDX_GLOBAL, {}}};
  if (!dynamic.has(DT_VERDEF)) return versions;
  const std::uint64_t count = dynamic.value(DT_VERDEFNUM).value_or(0);
  const ElfLayout& layout = dynamic.layout();
  Va at = SWAT_TRY(dynamic.pointer(DT_VERDEF));
  if (count > layout.limits.max_versions) {
    return fail(Errc::kBadImage, "too many symbol versions", at.value);
  }
  PageReader pages(memory);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!layout.contains(at, sizeof(Elf64_Verdef))) {
      return fail(Errc::kBadImage, "DT_VERDEF reaches out of its image", at.value);
    }
    const auto definition = SWAT_TRY(read_as<Elf64_Verdef>(pages, at));
    const Va name_at = at + definition.vd_aux;
    if (definition.vd_version != VER_DEF_CURRENT ||
        !layout.contains(name_at, sizeof(Elf64_Verdaux))) {
      return fail(Errc::kBadImage, "odd version definition", at.value);
    }
    const auto name = SWAT_TRY(read_as<Elf64_Verdaux>(pages, name_at));
    std::optional<std::uint32_t>& known = versions[definition.vd_ndx & kVersionMask];
    known.reset();
    if ((definition.vd_flags & VER_FLG_BASE) == 0) known = name.vda_name;
    if (definition.vd_next == 0) break;
    at = at + definition.vd_next;
  }
  return versions;
}

// SHN_ABS is left out: such a symbol is a number (a version's name, mostly), and whether the load
// bias applies to it depends on the version of ld.so. [SYMBOL_ADDRESS in glibc; changed in 2.28]
bool is_callable(const ElfSymbol& symbol, Va address, const ElfLayout& layout) {
  if (symbol.section == SHN_UNDEF || symbol.section == SHN_ABS) return false;
  if (symbol.binding != STB_GLOBAL && symbol.binding != STB_WEAK &&
      symbol.binding != STB_GNU_UNIQUE) {
    return false;
  }
  if (symbol.type == STT_NOTYPE) return layout.is_code(address);
  const bool is_function = symbol.type == STT_FUNC || symbol.type == STT_GNU_IFUNC;
  return is_function && layout.contains(address, 1);
}

// `number` is the symbol's DT_VERSYM entry.
Result<ElfExport> make_export(const ElfSymbol& symbol, Va address, std::uint16_t number,
                              ElfStrings& strings, const Versions& versions) {
  const std::string_view name = SWAT_TRY(strings.at(symbol.name));
  const auto version = versions.find(number & kVersionMask);
  if (version == versions.end()) {
    return fail(Errc::kBadImage, "symbol of an undefined version", address.value);
  }
  std::string_view version_name;
  const std::optional<std::uint32_t> version_at = version->second;
  if (version_at) version_name = SWAT_TRY(strings.at(*version_at));
  return ElfExport{.address = address,
                   .size_bytes = symbol.size_bytes,
                   .name = std::string(name),
                   .version = std::string(version_name),
                   .is_ifunc = symbol.type == STT_GNU_IFUNC,
                   .is_default = (number & kHiddenVersion) == 0};
}

}  // namespace

Result<std::vector<ElfExport>> ElfImage::exports(VirtualMemory& memory) const {
  std::vector<ElfExport> out;
  if (!has_dynamic()) return out;
  const ElfDynamic dynamic = SWAT_TRY(ElfDynamic::read(memory, layout_));
  if (!dynamic.has(DT_SYMTAB)) return out;
  const std::size_t count = SWAT_TRY(dynamic.symbol_count(memory));
  const auto symbols = SWAT_TRY(dynamic.symbols(memory, count));
  ElfStrings strings = SWAT_TRY(dynamic.strings(memory));
  const Versions versions = SWAT_TRY(read_versions(memory, dynamic));
  std::vector<std::byte> numbers;
  if (dynamic.has(DT_VERSYM)) {
    const Va start = SWAT_TRY(dynamic.pointer(DT_VERSYM));
    numbers = SWAT_TRY(dynamic.table(memory, start, std::uint64_t{count} * 2));
  }

  const ElfMachine* machine = find_elf_machine(layout_.machine);
  for (std::size_t i = 0; i < count; ++i) {
    const ElfSymbol& symbol = symbols[i];
    Va address = layout_.at(symbol.value);
    if (machine != nullptr && symbol.type != STT_NOTYPE) address.value &= machine->code_mask;
    if (!is_callable(symbol, address, layout_)) continue;
    const std::uint16_t number =
        numbers.empty() ? VER_NDX_GLOBAL : elf_record<std::uint16_t>(numbers, i);
    out.push_back(SWAT_TRY(make_export(symbol, address, number, strings, versions)));
  }
  return out;
}

Result<ElfPlace> ElfImage::find(VirtualMemory& memory, std::string_view name) const {
  const auto missing = fail(Errc::kNotFound, "no dynamic symbol " + std::string(name));
  if (!has_dynamic()) return missing;
  const ElfDynamic dynamic = SWAT_TRY(ElfDynamic::read(memory, layout_));
  if (!dynamic.has(DT_SYMTAB)) return missing;
  const std::size_t count = SWAT_TRY(dynamic.symbol_count(memory));
  const auto symbols = SWAT_TRY(dynamic.symbols(memory, count));
  ElfStrings strings = SWAT_TRY(dynamic.strings(memory));
  for (const ElfSymbol& symbol : symbols) {
    if (symbol.section == SHN_UNDEF || symbol.section == SHN_ABS) continue;
    if (symbol.type == STT_TLS) continue;  // an offset, in no image
    if (SWAT_TRY(strings.at(symbol.name)) != name) continue;
    const ElfPlace place{layout_.at(symbol.value), symbol.size_bytes};
    if (!layout_.contains(place.address, std::max<std::uint64_t>(place.size_bytes, 1))) {
      return fail(Errc::kBadImage, "symbol outside its image", place.address.value);
    }
    return place;
  }
  return missing;
}

}  // namespace swat::symbols
