#include "gdbproto/socket_link.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <utility>
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
constexpr std::chrono::milliseconds kSendTimeout{10'000};
// How long a wait may go on beyond its time, and how late a signal may be noticed.
constexpr std::chrono::milliseconds kReceiveSlice{50};
// A busy link finds bytes at every receive() and never waits; it looks for signals this often.
constexpr unsigned kReceivesPerPoll = 32;

tl::unexpected<Error> disconnected(std::string what) {
  return fail(Errc::kDisconnected, std::move(what));
}

}  // namespace

struct IoLoop::Impl {
  asio::io_context io{1};
  asio::signal_set signals{io, SIGINT, SIGTERM, SIGHUP};
  bool requested = false;
  bool acknowledged = false;
  bool reload = false;
  unsigned asked = 0;

  void arm() {
    signals.async_wait([this](error_code error, int signal) {
      if (error) return;
      (signal == SIGHUP ? reload : requested) = true;
      arm();  // the clean-up is bounded in time: a second Ctrl-C must not kill us half way
    });
  }

  [[nodiscard]] bool interrupting() const { return requested && !acknowledged; }

  // Runs handlers until `done`, a signal that counts, or `deadline`.
  template <class Done>
  void run(const Done& done, Clock::time_point deadline) {
    while (!done() && !interrupting()) {
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
bool IoLoop::reload_requested() const { return impl_->reload; }
bool IoLoop::take_reload() { return std::exchange(impl_->reload, false); }

namespace {

// An open socket, by its descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// Plain blocking calls: at thousands of stops a second each further system call is felt, and a
// wait through a reactor takes three where recv(2) takes one. Being woken costs more than all of
// these, hence poll_for(). [as KVM polls before it halts: kernel, virt/kvm/halt-polling.rst]
class SocketLink final : public Link {
 public:
  // `socket` blocks, for kReceiveSlice and kSendTimeout at most.
  SocketLink(IoLoop::Impl& loop, Descriptor socket) : loop_(loop), socket_(std::move(socket)) {}

  Result<> send(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return disconnected("the peer takes no more bytes");
      } else if (errno != EINTR) {
        return disconnected(std::strerror(errno));
      }
    }
    return {};
  }

  Result<> receive(std::string& into, std::chrono::milliseconds timeout) override {
    if (++receives_ % kReceivesPerPoll == 0) loop_.poll();
    const auto start = Clock::now();
    const auto poll_until =
        last_wait_ < poll_for_ ? start + std::min<Clock::duration>(poll_for_, timeout) : start;
    for (auto now = start;;) {
      if (loop_.interrupting()) return fail(Errc::kInterrupted, "asked to stop");
      const bool polls = now < poll_until;
      const int flags = polls ? MSG_DONTWAIT : 0;
      // No lock is held here: the one that the analyzer sees is Asio's, taken and given back by
      // poll(). NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection)
      const ssize_t n = recv(socket_.get(), buffer_.data(), buffer_.size(), flags);
      const int error = errno;
      now = Clock::now();
      last_wait_ = now - start;
      if (n > 0) {
        into.append(buffer_.data(), static_cast<std::size_t>(n));
        return {};
      }
      if (n == 0) return disconnected("the peer closed the connection");
      if (error != EAGAIN && error != EWOULDBLOCK && error != EINTR) {
        return disconnected(std::strerror(error));
      }
      if (polls) continue;
      loop_.poll();
      if (loop_.interrupting()) return fail(Errc::kInterrupted, "asked to stop");
      if (now >= start + timeout) return fail(Errc::kTimeout, "nothing received");
    }
  }

  void poll_for(std::chrono::microseconds longest) override { poll_for_ = longest; }

 private:
  IoLoop::Impl& loop_;  // outlives the link
  Descriptor socket_;
  unsigned receives_ = 0;
  Clock::duration poll_for_{};  // at most
  Clock::duration last_wait_{};
  std::array<char, kReceiveBytes> buffer_;
};

// From here on no reactor watches the socket, and its calls block, for a while.
Result<Descriptor> blocking(Socket socket) {
  error_code error;
  Descriptor fd(socket.release(error));
  if (error) return disconnected(error.message());
  const auto as_timeval = [](std::chrono::milliseconds ms) {
    return timeval{ms.count() / 1000, ms.count() % 1000 * 1000};
  };
  const timeval receive = as_timeval(kReceiveSlice);
  const timeval send = as_timeval(kSendTimeout);
  const int flags = fcntl(fd.get(), F_GETFL);
  if (flags < 0 || fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof(receive)) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &send, sizeof(send)) != 0) {
    return disconnected(std::strerror(errno));
  }
  return fd;
}

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
  auto fd = blocking(std::move(*socket));
  if (!fd) return disconnected(endpoint.to_string() + ": " + fd.error().what);
  return std::make_unique<SocketLink>(loop.impl(), std::move(*fd));
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
