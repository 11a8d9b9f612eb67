// kallsyms, found blind in a kernel's memory: no System.map, no version switch.
//
// Layout eras and the finder's algorithm: facts/linux.md sections 1.2 and 1.3.
// [kernel/kallsyms.c, scripts/kallsyms.c of Linux 2.5.54 to 7.x]
#pragma once

#include "symbols/kernel_image.hpp"
#include "symbols/result.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::symbols {

// kNotFound: the image holds no kallsyms; kBadImage: it does, but its parts contradict each other.
[[nodiscard]] Result<SymbolTable> find_kallsyms(const KernelImage& image);

}  // namespace swat::symbols
