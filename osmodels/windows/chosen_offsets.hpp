// Which offsets hold in this guest: what the user has given, the kernel's accessors, the rows of
// its build, and the test that the System process and the ring of processes come out as they must.
#pragma once

#include <string>
#include <vector>

#include "osmodels/windows/accessors.hpp"
#include "osmodels/windows/offsets.hpp"

namespace swat::os::windows {

struct OffsetCandidate {
  WindowsOffsets offsets;
  std::string found_by;  // "9 members by the kernel's accessors, as win10_19041_x64 has them"
};

// What the user's file says.
struct GivenOffsets {
  WindowsOffsets offsets;
  std::string by = {};  // "ntkrnlmp.pdb"; "": there is none
};

// What accessors tell, completed by each row that may fit, those that agree most first; then the
// rows alone, in case what the accessors seemed to tell was something else. Without a member that
// has to be known there is no candidate. In all of them what is given holds.
[[nodiscard]] std::vector<OffsetCandidate> offset_candidates(
    const WindowsOffsets& told, const std::vector<const OffsetRow*>& rows,
    const GivenOffsets& given = {});

}  // namespace swat::os::windows
