// What a symbol table for Volatility 3 (isf.hpp) says of a Windows kernel's structures.
#pragma once

#include <string_view>

#include "symbols/member_profile.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

// All but the file's name. kBadImage: no ISF, or a damaged one; kUnsupported: of another system.
[[nodiscard]] Result<symbols::MemberProfile> read_isf_members(std::string_view text,
                                                              symbols::MemberNames wanted);

}  // namespace swat::daemon
