// A program database (PDB 7.0) as Microsoft's and LLVM's linkers write them, as far as it says
// which image it is of, and where structures keep their members. [llvm.org/docs/PDB]
#pragma once

#include <cstddef>
#include <span>

#include "symbols/member_profile.hpp"
#include "symbols/result.hpp"

namespace swat::symbols {

// Whether the first bytes are those of a PDB, of whatever format.
[[nodiscard]] bool is_pdb(std::span<const std::byte> file);

// All but the file's names. kBadImage: the file contradicts itself; kUnsupported: of a format
// before 7.0, or without types.
[[nodiscard]] Result<MemberProfile> read_pdb(std::span<const std::byte> file, MemberNames wanted);

}  // namespace swat::symbols
