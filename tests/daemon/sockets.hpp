// Listening sockets for tests: a file of the test's own, or a loopback port of the kernel's choice.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include "gdbproto/socket_link.hpp"

namespace swat::daemon {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  void reset() { *this = Fd(); }

 private:
  int fd_ = -1;
};

// False when nothing can be read (or accepted) within `timeout`.
[[nodiscard]] inline bool readable(const Fd& fd, std::chrono::milliseconds timeout) {
  pollfd wait{fd.get(), POLLIN, 0};
  return poll(&wait, 1, static_cast<int>(timeout.count())) == 1;
}

class Listener {
 public:
  // On a unix socket.
  explicit Listener(const std::string& path) : socket_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::strncpy(at.sun_path, path.c_str(), sizeof(at.sun_path) - 1);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0) << path;
    EXPECT_EQ(listen(socket_.get(), 4), 0);
    endpoint_.path = path;
  }
  // On 127.0.0.1.
  Listener() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(listen(socket_.get(), 4), 0);
    EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
    endpoint_.host = "127.0.0.1";
    endpoint_.port = std::to_string(ntohs(at.sin_port));
  }

  [[nodiscard]] const gdbproto::Endpoint& endpoint() const { return endpoint_; }
  [[nodiscard]] const Fd& socket_fd() const { return socket_; }
  // The next client, or none (-1) when nobody comes within `timeout`.
  [[nodiscard]] Fd accept_within(std::chrono::milliseconds timeout) const {
    return readable(socket_, timeout) ? Fd(accept(socket_.get(), nullptr, nullptr)) : Fd();
  }

 private:
  Fd socket_;
  gdbproto::Endpoint endpoint_;
};

[[nodiscard]] inline Fd connected_to(const gdbproto::Endpoint& endpoint) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (!endpoint.path.empty()) {
    auto* at = reinterpret_cast<sockaddr_un*>(&storage);
    at->sun_family = AF_UNIX;
    std::strncpy(at->sun_path, endpoint.path.c_str(), sizeof(at->sun_path) - 1);
    size = sizeof(*at);
  } else {
    auto* at = reinterpret_cast<sockaddr_in*>(&storage);
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at->sin_port = htons(static_cast<std::uint16_t>(std::stoi(endpoint.port)));
    size = sizeof(*at);
  }
  Fd fd(socket(storage.ss_family, SOCK_STREAM, 0));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
  return fd;
}

}  // namespace swat::daemon
