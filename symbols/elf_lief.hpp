// LIEF, wrapped: its headers are included, and its exceptions caught, in elf_lief.cpp alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "symbols/result.hpp"

namespace swat::symbols {

struct LiefSymbol {
  std::string name;
  std::uint64_t value;
  std::uint8_t type;      // STT_*
  std::uint8_t binding;   // STB_*
  std::uint16_t section;  // SHN_*, or its index
};

// .symtab of an ELF file. LIEF 0.9 is not made for hostile files: elf_symtab.cpp has looked through
// what it is given here. kBadImage: what LIEF says of it.
[[nodiscard]] Result<std::vector<LiefSymbol>> symbols_by_lief(const std::vector<std::uint8_t>& elf);

}  // namespace swat::symbols
