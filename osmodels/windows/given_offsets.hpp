// Offsets that the user has a file of: its members by the names that Microsoft gives them, and
// whether it is of this guest's kernel.
#pragma once

#include <string>

#include "osmodels/windows/offsets.hpp"
#include "symbols/member_profile.hpp"
#include "symbols/pe_image.hpp"

namespace swat::os::windows {

// What a file is to be asked for: every member of WindowsOffsets, by each name that it has had.
[[nodiscard]] symbols::MemberNames given_member_names();

[[nodiscard]] WindowsOffsets offsets_of(const symbols::MemberProfile& given);

// kUsage: it is of another image. One whose debug id is paged out may be any of its machine.
[[nodiscard]] Result<> check_given(const symbols::MemberProfile& given,
                                   const symbols::PeImage& kernel,
                                   const Result<symbols::PeDebugId>& debug_id);

// "ntkrnlmp.pdb 5a...0f 1", as a symbol server has it.
[[nodiscard]] std::string describe(const symbols::PeDebugId& id);

}  // namespace swat::os::windows
