// Names of the numbers that Windows' system calls take. [winnt.h, ntifs.h, wdm.h: facts of the API]
#pragma once

#include <string>
#include <string_view>

#include "osmodels/constants.hpp"

namespace swat::os::windows {

// Of a call's parameter ("ShareAccess"), else of its type ("SECTION_INHERIT"); null: none.
[[nodiscard]] const ConstantSet* find_constants(std::string_view call, std::string_view parameter,
                                                std::string_view type);

// An access mask, by the call that asks for it: which rights its low half has depends on the kind
// of object, which the call's name tells ("NtOpenKey").
[[nodiscard]] std::string name_access(std::string_view call, std::uint64_t mask);

// "STATUS_ACCESS_DENIED"; "": without a name.
[[nodiscard]] std::string_view ntstatus_name(std::uint64_t status);

}  // namespace swat::os::windows
