// Instructions that load CR3, in a kernel's code.
#pragma once

#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

// Where each `mov %reg, %cr3` in `text` ends, ascending; found by its bytes, so that some may be
// none. Left out are those that a kernel without page-table isolation has patched a jump over: it
// comes to their ends without a write. [arch/x86/entry/calling.h, SWITCH_TO_KERNEL_CR3]
// Pages that are not mapped are passed over. At most 64 MiB are read.
[[nodiscard]] std::vector<Va> ends_of_page_table_writes(VirtualMemory& kernel, VaRange text);

}  // namespace swat::os::x86
