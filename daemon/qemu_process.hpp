// Which local process serves a socket, without touching the socket: a second connection to a
// gdbstub, even one closed at once, would stop the guest.
#pragma once

#include <sys/types.h>

#include "gdbproto/socket_link.hpp"
#include "symbols/result.hpp"

namespace swat::daemon {

// The process that listens on `endpoint`, by /proc/net and /proc/PID/fd. kNotFound: it is on
// another host, in another network namespace, or another user's.
[[nodiscard]] Result<pid_t> find_listener(const gdbproto::Endpoint& endpoint);

}  // namespace swat::daemon
