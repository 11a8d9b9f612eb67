#include "symbols/elf_lief.hpp"

#include <LIEF/ELF.hpp>
#include <LIEF/logging.hpp>
#include <exception>
#include <memory>
#include <utility>

namespace swat::symbols {

Result<std::vector<LiefSymbol>> symbols_by_lief(const std::vector<std::uint8_t>& elf) try {
  LIEF::Logger::disable();  // what is wrong with a file is for the caller to say
  const std::unique_ptr<LIEF::ELF::Binary> binary = LIEF::ELF::Parser::parse(elf);
  if (binary == nullptr) return fail(Errc::kBadImage, "LIEF does not read it");
  std::vector<LiefSymbol> symbols;
  for (const LIEF::ELF::Symbol& symbol : std::as_const(*binary).static_symbols()) {
    symbols.push_back({symbol.name(), symbol.value(), static_cast<std::uint8_t>(symbol.type()),
                       static_cast<std::uint8_t>(symbol.binding()), symbol.shndx()});
  }
  return symbols;
} catch (const std::exception& error) {  // LIEF::exception, and what the standard library throws
  return fail(Errc::kBadImage, std::string("LIEF: ") + error.what());
}

}  // namespace swat::symbols
