// What ld.so tells debuggers of the modules that it has loaded: their paths, whatever of the files
// themselves has been touched.
//
// The program's DT_DEBUG leads to struct r_debug (a version, then the first link_map), and that to
// a list of struct link_map: load bias, name, address of PT_DYNAMIC, next. The name is "" of the
// program. glibc, musl and uClibc have it alike. [link.h; rtld-debugger-interface.txt of glibc]
#pragma once

#include <map>
#include <string>

#include "symbols/elf_image.hpp"

namespace swat::os {

using LinkMap = std::map<Va, std::string>;  // paths, by the address of each one's PT_DYNAMIC

// Those whose names can be read. Empty before ld.so has
// made the list, and of static programs.
[[nodiscard]] LinkMap read_link_map(VirtualMemory& memory, const symbols::ElfImage& program);

}  // namespace swat::os
