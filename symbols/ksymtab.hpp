// __ksymtab: what a kernel exports to its modules, found blind. It owes nothing to kallsyms, which
// is checked against it, and lists data (init_task) that kallsyms often leaves out.
#pragma once

#include "symbols/kernel_image.hpp"
#include "symbols/result.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::symbols {

// __ksymtab and, as it follows directly, __ksymtab_gpl; in the order of the tables, type 0. The
// checksum that MODVERSIONS appended to names until 2.4 is taken off.
// kNotFound: no such table, or a kernel without modules.
[[nodiscard]] Result<SymbolTable> find_ksymtab(const KernelImage& image);

}  // namespace swat::symbols
