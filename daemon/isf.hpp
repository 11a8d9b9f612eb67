// A kernel's profile as other tools read it: Volatility 3's Intermediate Symbol Format.
// [volatility3.readthedocs.io, "Creating New Symbol Tables"; its schema 6.2.0]
//
// With BTF it has all of the kernel's types, as dwarf2json would make of its debug information.
// Without, the members that were inferred, which plugins that need more cannot do with.
#pragma once

#include <string>

#include "osmodels/linux/linux_model.hpp"

namespace swat::daemon {

// JSON. Symbols have their addresses of this boot: under KASLR, Volatility finds by how much
// another boot's differ. kBadImage: the kernel's BTF is damaged.
[[nodiscard]] Result<std::string> to_isf(const os::KernelDescription& kernel);

}  // namespace swat::daemon
