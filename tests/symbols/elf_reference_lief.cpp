#include <LIEF/ELF.hpp>

#include "elf_reference.hpp"

namespace swat::symbols {

std::optional<std::vector<LiefExport>> exports_with_lief(const std::filesystem::path& file) try {
  const std::unique_ptr<LIEF::ELF::Binary> binary = LIEF::ELF::Parser::parse(file.string());
  if (!binary) return {};
  std::vector<LiefExport> out;
  for (const LIEF::ELF::Symbol& symbol : std::as_const(*binary).dynamic_symbols()) {
    using LIEF::ELF::ELF_SYMBOL_TYPES;
    using LIEF::ELF::SYMBOL_BINDINGS;
    using Section = LIEF::ELF::SYMBOL_SECTION_INDEX;
    const bool is_function = symbol.type() == ELF_SYMBOL_TYPES::STT_FUNC ||
                             symbol.type() == ELF_SYMBOL_TYPES::STT_GNU_IFUNC;
    const auto section = static_cast<Section>(symbol.shndx());
    if (!is_function || section == Section::SHN_UNDEF || section == Section::SHN_ABS ||
        symbol.binding() == SYMBOL_BINDINGS::STB_LOCAL) {
      continue;
    }
    out.push_back({symbol.name(), symbol.value()});
  }
  return out;
} catch (const LIEF::exception&) {
  return {};
}

}  // namespace swat::symbols
