// The sockets of this host, as the kernel lists them: who serves an endpoint, and whether somebody
// is connected to it, without touching it.
#pragma once

#include <string>
#include <vector>

#include "gdbproto/socket_link.hpp"

namespace swat::daemon {

struct HostSocket {
  std::string inode;  // as in "socket:[INODE]" of /proc/PID/fd
  enum class State { kListening, kConnected, kOther } state;
};

// By the loopback's names and addresses; any other name may be another host's.
[[nodiscard]] bool is_this_host(const std::string& host);

// Those bound to the endpoint's address. None when it is another host's, or when /proc cannot tell.
[[nodiscard]] std::vector<HostSocket> sockets_at(const gdbproto::Endpoint& endpoint);

}  // namespace swat::daemon
