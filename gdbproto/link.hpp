// The byte pipe under a protocol session. The only implementation that owns a socket is
// gdbproto/socket_link.hpp; tests script their own.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "symbols/result.hpp"

namespace swat::gdbproto {

class Link {
 public:
  virtual ~Link() = default;
  // Writes all of `bytes` at once (one write(2) where the kernel takes it): what stands in one call
  // is never split by us, because the RSP hot path depends on it (facts: 3.1).
  [[nodiscard]] virtual Result<> send(std::string_view bytes) = 0;
  // Appends what has arrived to `into`, waiting `timeout` for the first byte (a socket's may be up
  // to 50 ms late).
  // kTimeout: nothing came. kInterrupted: the process was asked to stop. kDisconnected: peer gone.
  [[nodiscard]] virtual Result<> receive(std::string& into, std::chrono::milliseconds timeout) = 0;
  // From now on receive() polls for up to `longest` before it sleeps, as long as the last wait was
  // shorter than that; 0: never. A matter of speed alone, for whoever has a CPU to spare.
  virtual void poll_for(std::chrono::microseconds longest) { (void)longest; }
};

}  // namespace swat::gdbproto
