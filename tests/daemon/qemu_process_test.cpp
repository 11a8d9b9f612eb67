#include "daemon/qemu_process.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "sockets.hpp"
#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

using gdbproto::Endpoint;

TEST(FindListener, FindsTheProcessBehindAUnixSocket) {
  const TempFolder folder;
  const Listener listener(folder.file("vm.gdb"));
  const auto pid = find_listener(listener.endpoint());
  ASSERT_TRUE(pid) << pid.error().what;
  EXPECT_EQ(*pid, getpid());
}

TEST(FindListener, FindsTheProcessBehindAPort) {
  const Listener listener;
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const auto pid = find_listener({host, listener.endpoint().port, {}});
    ASSERT_TRUE(pid) << pid.error().what;
    EXPECT_EQ(*pid, getpid());
  }
}

TEST(FindListener, FindsAnotherProcess) {
  const TempFolder folder;
  auto listener = std::make_unique<Listener>(folder.file("vm.gdb"));
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const Endpoint endpoint = listener->endpoint();
  listener.reset();  // the child alone has it now
  const auto pid = find_listener(endpoint);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  ASSERT_TRUE(pid) << pid.error().what;
  EXPECT_EQ(*pid, child);
}

TEST(FindListener, FindsASocketByAnotherSpellingOfItsPath) {
  const TempFolder folder;
  const Listener listener(folder.file("vm.gdb"));
  EXPECT_TRUE(find_listener(
      {{},
       {},
       folder.file("./../" +
                   std::filesystem::path(folder.file("")).parent_path().filename().string() +
                   "/vm.gdb")}));
}

TEST(FindListener, FindsASocketWhosePathHasSpaces) {
  const TempFolder folder;
  const Listener listener(folder.file("my first vm.gdb"));
  EXPECT_TRUE(find_listener(listener.endpoint()));
}

// A second connection to a stub stops the guest.
TEST(FindListener, DoesNotConnect) {
  const TempFolder folder;
  const Listener listener(folder.file("vm.gdb"));
  ASSERT_TRUE(find_listener(listener.endpoint()));
  EXPECT_FALSE(readable(listener.socket_fd(), std::chrono::milliseconds(0)));
}

TEST(FindListener, FindsNobodyBehindASocketThatNobodyListensOn) {
  const TempFolder folder;
  EXPECT_EQ(find_listener({{}, {}, folder.file("vm.gdb")}).error().code, Errc::kNotFound);
}

TEST(FindListener, TakesNoConnectedSocketForAListener) {
  std::string port;
  Fd client;
  Fd server;
  {
    const Listener listener;
    port = listener.endpoint().port;
    client = connected_to(listener.endpoint());
    server = listener.accept_within(std::chrono::seconds(10));
  }
  EXPECT_EQ(find_listener({"127.0.0.1", port, {}}).error().code, Errc::kNotFound);
}

// Two VMs may have the same port, each at an address of its own.
TEST(FindListener, TakesNoListenerAtAnotherAddressForThisOne) {
  const Listener listener;  // on 127.0.0.1
  const std::string port = listener.endpoint().port;
  EXPECT_EQ(find_listener({"127.0.0.2", port, {}}).error().code, Errc::kNotFound);
  EXPECT_EQ(find_listener({"::1", port, {}}).error().code, Errc::kNotFound);
}

TEST(FindListener, FindsTheProcessThatListensAtEveryAddress) {
  for (const int family : {AF_INET, AF_INET6}) {
    const Fd socket(::socket(family, SOCK_STREAM, 0));
    if (socket.get() < 0 || listen(socket.get(), 1) != 0) GTEST_SKIP() << "no IPv6 here";
    sockaddr_storage at{};
    socklen_t size = sizeof(at);
    ASSERT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
    // Both families have the port in the same place.
    const auto port = std::to_string(ntohs(reinterpret_cast<const sockaddr_in*>(&at)->sin_port));
    for (const char* host : {"127.0.0.1", "localhost", "127.1.2.3"}) {
      EXPECT_TRUE(find_listener({host, port, {}})) << host << " by family " << family;
    }
    EXPECT_EQ(find_listener({"::1", port, {}}).has_value(), family == AF_INET6);
  }
}

TEST(FindListener, KnowsNothingOfOtherHosts) {
  const Listener listener;
  EXPECT_EQ(find_listener({"lab.example", listener.endpoint().port, {}}).error().code,
            Errc::kNotFound);
}

}  // namespace
}  // namespace swat::daemon
