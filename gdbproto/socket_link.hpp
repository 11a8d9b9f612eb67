// A Link over TCP or a unix socket; with qmp and session, all there is of the network.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "gdbproto/link.hpp"

namespace swat::gdbproto {

// "HOST:PORT", "[v6]:PORT", ":PORT" (localhost) or "unix:PATH".
struct Endpoint {
  std::string host;  // empty for a unix socket
  std::string port;
  std::string path;  // empty for TCP

  [[nodiscard]] static Result<Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
};

// Owns the io_context that all links of the process share, and SIGINT/SIGTERM: both end every
// receive() with kInterrupted from then on, so that the caller's own clean-up path runs. SIGHUP
// ends nothing: whoever loops asks for it.
class IoLoop {
 public:
  IoLoop();
  ~IoLoop();
  IoLoop(const IoLoop&) = delete;
  IoLoop& operator=(const IoLoop&) = delete;

  // After the first signal; a clean-up path calls acknowledge_stop() and its waits work again.
  [[nodiscard]] bool stop_requested() const;
  void acknowledge_stop();

  // SIGHUP has come, since it was last taken.
  [[nodiscard]] bool reload_requested() const;
  bool take_reload();

  struct Impl;
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// TCP_NODELAY is set. kDisconnected says why the endpoint could not be reached. `loop` outlives it.
[[nodiscard]] Result<std::unique_ptr<Link>> connect(IoLoop& loop, const Endpoint& endpoint,
                                                    std::chrono::milliseconds timeout);

}  // namespace swat::gdbproto
