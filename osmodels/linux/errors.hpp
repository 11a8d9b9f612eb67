// What a negative result of a Linux syscall says.
#pragma once

#include <cstdint>
#include <string_view>

namespace swat::os::linux_os {

// "ENOENT" of -2; "" of a result that is no error, or one without a name. Includes what only the
// kernel and a tracer see: ERESTARTSYS and its kin.
[[nodiscard]] std::string_view error_name(std::int64_t result);

// A signal has ended the call, and the kernel is about to decide what the caller sees: EINTR, or
// the same call once more.
[[nodiscard]] bool is_restart(std::int64_t result);

}  // namespace swat::os::linux_os
