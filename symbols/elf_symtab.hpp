// The functions of a program by .symtab, which lies in its file and nowhere in its memory: all that
// there is of a statically linked one.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "symbols/elf_file.hpp"

namespace swat::symbols {

struct ElfFunction {
  Va address;  // run-time address; for an IFUNC, of its resolver
  std::string name;
  bool is_ifunc;

  friend auto operator<=>(const ElfFunction&, const ElfFunction&) = default;
};

// Local ones too, and every name of one that has several; ascending by address. Symbols without a
// type count where they are global and nothing with a type is at their address: functions written
// in assembly, but not ARM's $a, $d, $t and $x, which mark what is code and what is data.
// kNotFound: the file has no .symtab, as `strip` leaves it; kBadImage: one that makes no sense.
[[nodiscard]] Result<std::vector<ElfFunction>> functions_by_symtab(const ElfFile& file);

}  // namespace swat::symbols
