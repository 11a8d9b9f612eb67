// The ways into an NT kernel: by registers of the CPU where something tells them, else by code of
// that form in the kernel's image.
#pragma once

#include <vector>

#include "osmodels/model.hpp"
#include "symbols/pe_layout.hpp"

namespace swat::os::windows {

// kNotFound: neither registers nor code tell of any.
[[nodiscard]] Result<std::vector<SyscallEntry>> find_syscall_entries(GuestView& guest,
                                                                     VirtualMemory& kernel,
                                                                     const symbols::PeLayout& image,
                                                                     unsigned word_bytes);

}  // namespace swat::os::windows
