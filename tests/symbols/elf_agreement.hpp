// One comparison of ElfImage with readelf, for whatever file.
#pragma once

#include <filesystem>
#include <string>

#include "elf_reference.hpp"
#include "mapped_file.hpp"

namespace swat::symbols {

struct Agreement {
  std::size_t exports = 0;
  std::size_t slots = 0;
  std::string difference;  // empty: none
};

[[nodiscard]] Agreement compare_with_readelf(MappedFile& memory, const ReferenceFile& reference);

}  // namespace swat::symbols
