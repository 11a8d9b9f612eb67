#include "gdbproto/socket_link.hpp"

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <charconv>
#include <csignal>
#include <vector>

namespace swat::gdbproto {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Socket = asio::generic::stream_protocol::socket;

constexpr std::size_t kReceiveBytes = 64 << 10;
constexpr std::size_t kMaxUnixPath = 107;  // sun_path, less its NUL
// A peer that takes no bytes for so long is as good as gone.
constexpr std::chrono::seconds kSendTimeout{10};
// A busy link finds bytes at every receive() and never waits; it looks for signals this often.
constexpr unsigned kReceivesPerPoll = 32;

tl::unexpected<Error> disconnected(std::string what) {
  return fail(Errc::kDisconnected, std::move(what));
}

}  // namespace

struct IoLoop::Impl {
  asio::io_context io{1};
  asio::signal_set signals{io, SIGINT, SIGTERM};
  bool requested = false;
  bool acknowledged = false;
  unsigned asked = 0;

  void arm() {
    signals.async_wait([this](error_code error, int) {
      if (error) return;
      requested = true;
      arm();  // the clean-up is bounded in time: a second Ctrl-C must not kill us half way
    });
  }

  [[nodiscard]] bool interrupting() const { return requested && !acknowledged; }

  // Runs handlers until `done`, a signal that counts, or `deadline`.
  template <class Done>
  void run(const Done& done, Clock::time_point deadline, bool heed_signals = true) {
    while (!done() && !(heed_signals && interrupting())) {
      if (io.stopped()) io.restart();
      if (io.run_one_until(deadline) == 0) return;
    }
  }

  void poll() {
    if (io.stopped()) io.restart();
    io.poll();
  }
};

IoLoop::IoLoop() : impl_(std::make_unique<Impl>()) { impl_->arm(); }
IoLoop::~IoLoop() = default;
bool IoLoop::stop_requested() const {
  // Whoever asks all the time also waits now and then, and sees signals there.
  if (impl_->asked++ % kReceivesPerPoll == 0) impl_->poll();
  return impl_->requested;
}
void IoLoop::acknowledge_stop() { impl_->acknowledged = true; }

namespace {

// Handlers hold it by shared_ptr: one may still be queued in the loop when the link is gone.
struct Wait {
  bool armed = false;
};

class SocketLink final : public Link {
 public:
  SocketLink(IoLoop::Impl& loop, Socket socket) : loop_(loop), socket_(std::move(socket)) {}

  Result<> send(std::string_view bytes) override {
    const auto deadline = Clock::now() + kSendTimeout;
    while (!bytes.empty()) {
      error_code error;
      bytes.remove_prefix(socket_.write_some(asio::buffer(bytes.data(), bytes.size()), error));
      if (error == asio::error::would_block) {
        if (!wait(Socket::wait_write, writable_, deadline, /*heed_signals=*/false)) {
          return disconnected("the peer takes no more bytes");
        }
      } else if (error) {
        return disconnected(error.message());
      }
    }
    return {};
  }

  Result<> receive(std::string& into, std::chrono::milliseconds timeout) override {
    if (++receives_ % kReceivesPerPoll == 0) loop_.poll();
    const auto deadline = Clock::now() + timeout;
    for (;;) {
      if (loop_.interrupting()) return fail(Errc::kInterrupted, "asked to stop");
      error_code error;
      const std::size_t n = socket_.read_some(asio::buffer(buffer_), error);
      if (!error) {
        into.append(buffer_.data(), n);
        return {};
      }
      if (error == asio::error::eof) return disconnected("the peer closed the connection");
      if (error != asio::error::would_block) return disconnected(error.message());
      if (!wait(Socket::wait_read, readable_, deadline, /*heed_signals=*/true)) {
        if (loop_.interrupting()) return fail(Errc::kInterrupted, "asked to stop");
        return fail(Errc::kTimeout, "nothing received");
      }
    }
  }

 private:
  // False when `deadline` passed first, or a signal came. The wait then stays armed for the next
  // call: arming costs a system call, cancelling another.
  bool wait(Socket::wait_type what, const std::shared_ptr<Wait>& state, Clock::time_point deadline,
            bool heed_signals) {
    if (!state->armed) {
      state->armed = true;
      socket_.async_wait(what, [state](error_code) { state->armed = false; });
    }
    loop_.run([&] { return !state->armed; }, deadline, heed_signals);
    return !state->armed;
  }

  IoLoop::Impl& loop_;  // outlives the link
  Socket socket_;
  std::shared_ptr<Wait> readable_ = std::make_shared<Wait>();
  std::shared_ptr<Wait> writable_ = std::make_shared<Wait>();
  unsigned receives_ = 0;
  std::array<char, kReceiveBytes> buffer_;
};

// What a connection attempt came to, shared with handlers that may outlive it.
template <class Value>
struct Outcome {
  bool done = false;
  error_code error;
  Value value{};
};

template <class Value>
Result<> settle(IoLoop::Impl& loop, const Outcome<Value>& outcome, Clock::time_point deadline) {
  loop.run([&] { return outcome.done; }, deadline);
  if (!outcome.done && loop.interrupting()) return fail(Errc::kInterrupted, "asked to stop");
  if (!outcome.done) return disconnected("no answer in time");
  if (outcome.error) return disconnected(outcome.error.message());
  return {};
}

Result<Socket> connect_tcp(IoLoop::Impl& loop, const Endpoint& to, Clock::time_point deadline) {
  using asio::ip::tcp;
  struct Attempt {
    explicit Attempt(asio::io_context& io) : resolver(io), socket(io) {}
    tcp::resolver resolver;
    tcp::socket socket;
    Outcome<tcp::resolver::results_type> resolved;
    Outcome<tcp::endpoint> connected;
  };
  const auto attempt = std::make_shared<Attempt>(loop.io);
  attempt->resolver.async_resolve(to.host, to.port, [attempt](error_code error, auto results) {
    attempt->resolved = {true, error, std::move(results)};
  });
  SWAT_CHECK(settle(loop, attempt->resolved, deadline));
  asio::async_connect(attempt->socket, attempt->resolved.value,
                      [attempt](error_code error, const tcp::endpoint& endpoint) {
                        attempt->connected = {true, error, endpoint};
                      });
  if (Result<> connected = settle(loop, attempt->connected, deadline); !connected) {
    error_code ignored;
    attempt->socket.close(ignored);
    return tl::unexpected<Error>(std::move(connected).error());
  }
  attempt->socket.set_option(tcp::no_delay(true), attempt->connected.error);
  return Socket(std::move(attempt->socket));
}

// connect(2) to a unix socket blocks only while the listener's queue is full.
Result<Socket> connect_unix(IoLoop::Impl& loop, const Endpoint& to, Clock::time_point deadline) {
  using asio::local::stream_protocol;
  const auto attempt = std::make_shared<Outcome<int>>();
  stream_protocol::socket socket(loop.io);
  socket.async_connect(stream_protocol::endpoint(to.path), [attempt](error_code error) {
    attempt->done = true;
    attempt->error = error;
  });
  SWAT_CHECK(settle(loop, *attempt, deadline));
  return Socket(std::move(socket));
}

}  // namespace

Result<std::unique_ptr<Link>> connect(IoLoop& loop, const Endpoint& endpoint,
                                      std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const bool is_unix = !endpoint.path.empty();
  Result<Socket> socket = is_unix ? connect_unix(loop.impl(), endpoint, deadline)
                                  : connect_tcp(loop.impl(), endpoint, deadline);
  if (!socket) {
    return fail(socket.error().code, endpoint.to_string() + ": " + socket.error().what);
  }
  error_code error;
  socket->non_blocking(true, error);
  if (error) return disconnected(endpoint.to_string() + ": " + error.message());
  return std::make_unique<SocketLink>(loop.impl(), std::move(*socket));
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::kUsage, "endpoint \"" + std::string(text) + "\": " + std::string(why));
  };
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    if (path.empty() || path.size() > kMaxUnixPath) return refuse("bad length of the path");
    return Endpoint{{}, {}, std::string(path)};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse("neither HOST:PORT nor unix:PATH");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refuse("an IPv6 address goes in brackets");
  }
  unsigned number = 0;
  const auto [end, status] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (status != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65535) {
    return refuse("bad port");
  }
  return Endpoint{host.empty() ? "localhost" : std::string(host), std::string(port), {}};
}

std::string Endpoint::to_string() const {
  if (!path.empty()) return "unix:" + path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + port;
}

}  // namespace swat::gdbproto
