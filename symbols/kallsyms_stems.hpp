// kallsyms of 2.5.54 to 2.6.9: names compressed by their common stem with the name before.
//
// kallsyms_addresses (a pointer each, ascending), kallsyms_num_syms (a long), kallsyms_names: for
// each name one byte, how many characters it shares with the one before, and the rest of it,
// NUL-terminated. No type letters, no dictionary. [kernel/kallsyms.c and scripts/kallsyms.c, 2.6.9]
#pragma once

#include "symbols/kernel_image.hpp"
#include "symbols/result.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::symbols {

[[nodiscard]] Result<SymbolTable> find_stem_kallsyms(const KernelImage& image);

}  // namespace swat::symbols
