#include "symbols/elf_symtab.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <span>

#include "symbols/elf_lief.hpp"
#include "symbols/elf_machine.hpp"
#include "symbols/span_load.hpp"

namespace swat::symbols {
namespace {

constexpr std::size_t kMaxNameBytes = 256 << 20;  // if every symbol had the longest name

struct Tables {
  std::span<const std::byte> symbols;
  std::span<const std::byte> strings;
  std::set<std::size_t> code_sections;  // indexes
};

struct Symbols {
  std::vector<LiefSymbol> all;
  std::set<std::size_t> code_sections;
};

template <class Section>
Result<std::span<const std::byte>> content(std::span<const std::byte> file,
                                           const Section& section) {
  if (!holds(file, section.sh_offset, section.sh_size)) {
    return fail(Errc::kBadImage, "a section outside the file");
  }
  return file.subspan(section.sh_offset, section.sh_size);
}

// The first SHT_SYMTAB, and the strings that its sh_link names. [gABI, "Section Header"]
template <class Header, class Section>
Result<Tables> find_tables(std::span<const std::byte> file) {
  const auto header = load<Header>(file, 0);
  if (!header || header->e_shnum == 0)
    return fail(Errc::kNotFound, "the file has no section headers");
  if (header->e_shentsize != sizeof(Section)) {
    return fail(Errc::kBadImage, "section headers of odd size");
  }
  Tables tables;
  std::optional<Section> symtab;
  std::vector<Section> sections;
  for (std::size_t i = 0; i < header->e_shnum; ++i) {
    const auto section = load<Section>(file, header->e_shoff + i * sizeof(Section));
    if (!section) return fail(Errc::kBadImage, "the file ends within its section headers");
    if ((section->sh_flags & SHF_EXECINSTR) != 0) tables.code_sections.insert(i);
    if (section->sh_type == SHT_SYMTAB && !symtab) symtab = section;
    sections.push_back(*section);
  }
  if (!symtab) return fail(Errc::kNotFound, "the file has no .symtab");
  if (symtab->sh_link >= sections.size()) {
    return fail(Errc::kBadImage, ".symtab without its strings");
  }
  tables.symbols = SWAT_TRY(content(file, *symtab));
  tables.strings = SWAT_TRY(content(file, sections[symtab->sh_link]));
  return tables;
}

std::size_t longest(std::span<const std::byte> strings) {
  std::size_t most = 0;
  for (std::string_view rest = as_text(strings); !rest.empty();) {
    const std::size_t length = std::min(rest.find('\0'), rest.size());
    most = std::max(most, length);
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  return most;
}

template <class T>
void append(std::vector<std::uint8_t>& to, const T& record) {
  const auto at = to.size();
  to.resize(at + sizeof(T));
  std::memcpy(to.data() + at, &record, sizeof(T));
}

template <class Section>
Section section_of(std::uint32_t type, std::size_t offset, std::size_t size_bytes) {
  Section section{};
  section.sh_type = type;
  section.sh_offset = static_cast<decltype(section.sh_offset)>(offset);
  section.sh_size = static_cast<decltype(section.sh_size)>(size_bytes);
  return section;
}

// A file of these two tables and nothing else: what LIEF does not see, it does not stumble over.
template <class Header, class Section, class Symbol>
std::vector<std::uint8_t> file_of(const Tables& tables, std::span<const std::byte> file) {
  auto header = *load<Header>(file, 0);
  const std::size_t strings_at = sizeof(Header) + tables.symbols.size();
  auto symtab = section_of<Section>(SHT_SYMTAB, sizeof(Header), tables.symbols.size());
  symtab.sh_entsize = sizeof(Symbol);
  symtab.sh_link = 2;
  const auto strtab = section_of<Section>(SHT_STRTAB, strings_at, tables.strings.size());
  header.e_phoff = header.e_phnum = 0;
  header.e_shoff = static_cast<decltype(header.e_shoff)>(strings_at + tables.strings.size() + 1);
  header.e_shnum = 3;
  header.e_shstrndx = 2;

  std::vector<std::uint8_t> out;
  append(out, header);
  const auto add = [&](std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) out.push_back(std::to_integer<std::uint8_t>(b));
  };
  add(tables.symbols);
  add(tables.strings);
  out.push_back(0);
  for (const Section& section : {Section{}, symtab, strtab}) append(out, section);
  return out;
}

template <class Header, class Section, class Symbol>
Result<Symbols> symbols_of(std::span<const std::byte> file, const ElfLimits& limits) {
  Tables tables = SWAT_TRY((find_tables<Header, Section>(file)));
  const std::size_t count = tables.symbols.size() / sizeof(Symbol);
  if (count > limits.max_symbols || longest(tables.strings) > kMaxNameBytes / (count + 1)) {
    return fail(Errc::kBadImage, "too many symbols, or too long ones");
  }
  auto symbols = SWAT_TRY(symbols_by_lief(file_of<Header, Section, Symbol>(tables, file)));
  return Symbols{std::move(symbols), std::move(tables.code_sections)};
}

bool has_function_type(const LiefSymbol& symbol) {
  return symbol.type == STT_FUNC || symbol.type == STT_GNU_IFUNC;
}

// Untyped ones: see the header. Linkers put some of their own into segments of code, outside of any
// section of code (__exidx_start).
bool may_be_function(const LiefSymbol& symbol) {
  const bool is_global = symbol.binding == STB_GLOBAL || symbol.binding == STB_WEAK;
  return has_function_type(symbol) ||
         (symbol.type == STT_NOTYPE && is_global && !symbol.name.starts_with('$'));
}

}  // namespace

Result<std::vector<ElfFunction>> functions_by_symtab(const ElfFile& file) {
  const ElfLayout& layout = file.image().layout();
  const auto read = layout.is_64_bit ? symbols_of<Elf64_Ehdr, Elf64_Shdr, Elf64_Sym>
                                     : symbols_of<Elf32_Ehdr, Elf32_Shdr, Elf32_Sym>;
  const auto symbols = SWAT_TRY(read(file.bytes(), layout.limits));
  const ElfMachine* const machine = find_elf_machine(layout.machine);
  std::vector<ElfFunction> functions;
  std::vector<ElfFunction> untyped;
  std::set<Va> typed;
  for (const LiefSymbol& symbol : symbols.all) {
    if (symbol.name.empty() || !symbols.code_sections.contains(symbol.section)) continue;
    if (!may_be_function(symbol)) continue;
    const bool has_type = has_function_type(symbol);
    Va at = layout.at(symbol.value);
    if (machine != nullptr && has_type) at.value &= machine->code_mask;
    if (!layout.is_code(at)) continue;
    if (has_type) typed.insert(at);
    (has_type ? functions : untyped).push_back({at, symbol.name, symbol.type == STT_GNU_IFUNC});
  }
  std::erase_if(untyped, [&](const ElfFunction& f) { return typed.contains(f.address); });
  functions.insert(functions.end(), untyped.begin(), untyped.end());
  std::ranges::sort(functions);
  const auto twice = std::ranges::unique(functions);
  functions.erase(twice.begin(), twice.end());
  return functions;
}

}  // namespace swat::symbols
