// Windows as a model of swatd's: NT kernels since 5.0 on x86.
//
// Nothing has to be asked of the user, and nothing of a build is taken for granted: the kernel's
// image and its exports are found in memory, its accessors tell where structures keep what, and
// rows of offsets by build are the cross-check (facts in offsets.hpp).
#pragma once

#include <memory>

#include "osmodels/model.hpp"

namespace swat::os {

// kNotFound: no NT kernel. kUnsupported: one whose structures cannot be told for certain, or whose
// headers are paged out now. kUsage: `given`, which goes before all that, is of another kernel;
// null: the user has given none.
[[nodiscard]] Result<std::unique_ptr<OsModel>> attach_windows(
    GuestView& guest, const symbols::MemberProfile* given = nullptr);

}  // namespace swat::os
