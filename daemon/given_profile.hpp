// --profile FILE: where the user says that a guest's kernel has what.
#pragma once

#include <string>

#include "symbols/member_profile.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

// A PDB, or a symbol table for Volatility 3. kUsage, with the file's name: it is neither, or cannot
// be used.
[[nodiscard]] Result<symbols::MemberProfile> read_given_profile(const std::string& path,
                                                                symbols::MemberNames wanted);

}  // namespace swat::daemon
