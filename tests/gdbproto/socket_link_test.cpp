#include "gdbproto/socket_link.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <thread>

namespace swat::gdbproto {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

// A listener on a loopback port of the kernel's choice, and a link connected to it.
struct Loopback {
  Loopback() {
    const auto port = std::to_string(acceptor.local_endpoint().port());
    auto connected = connect(loop, *Endpoint::parse("127.0.0.1:" + port), 1000ms);
    EXPECT_TRUE(connected) << connected.error().what;
    if (connected) link = std::move(*connected);
    acceptor.accept(peer);
  }
  void say(std::string_view bytes) { asio::write(peer, asio::buffer(bytes.data(), bytes.size())); }

  IoLoop loop;
  asio::io_context io;
  tcp::acceptor acceptor{io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  tcp::socket peer{io};
  std::unique_ptr<Link> link;
};

TEST(Endpoint, ReadsWhatUsersWrite) {
  EXPECT_EQ(Endpoint::parse("lab:1234")->host, "lab");
  EXPECT_EQ(Endpoint::parse(":1234")->to_string(), "localhost:1234");
  EXPECT_EQ(Endpoint::parse("[::1]:1234")->host, "::1");
  EXPECT_EQ(Endpoint::parse("[::1]:1234")->to_string(), "[::1]:1234");
  EXPECT_EQ(Endpoint::parse("unix:/run/vm:1.gdb")->path, "/run/vm:1.gdb");
}

TEST(Endpoint, RefusesWhatCannotBeMeant) {
  for (const char* text : {"", "lab", "lab:", "lab:0", "lab:65536", "lab:12x", "::1:1234",
                           "unix:", "lab:-1", "lab: 1"}) {
    EXPECT_EQ(Endpoint::parse(text).error().code, Errc::kUsage) << text;
  }
  EXPECT_FALSE(Endpoint::parse("unix:" + std::string(200, 'x')));
}

TEST(SocketLink, CarriesBytesBothWays) {
  Loopback s;
  s.say("hello");
  std::string into = "> ";
  ASSERT_TRUE(s.link->receive(into, 1000ms));
  EXPECT_EQ(into, "> hello");
  ASSERT_TRUE(s.link->send("$g#67$c#63"));
  std::string got(10, '\0');
  asio::read(s.peer, asio::buffer(got));
  EXPECT_EQ(got, "$g#67$c#63");
}

TEST(SocketLink, CarriesMoreThanTheSocketsBuffersHold) {
  Loopback s;
  const std::string bytes(8 << 20, 'x');
  std::string got(bytes.size(), '\0');
  std::thread reader([&] { asio::read(s.peer, asio::buffer(got)); });
  EXPECT_TRUE(s.link->send(bytes));
  reader.join();
  EXPECT_EQ(got, bytes);
}

TEST(SocketLink, TimesOutAndStillHearsWhatComesLater) {
  Loopback s;
  std::string into;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(s.link->receive(into, 0ms).error().code, Errc::kTimeout);
    EXPECT_EQ(s.link->receive(into, 5ms).error().code, Errc::kTimeout);
    s.say("late");
    ASSERT_TRUE(s.link->receive(into, 1000ms));
  }
  EXPECT_EQ(into, "latelatelate");
}

std::chrono::nanoseconds cpu_time_of_this_thread() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Timeouts are a hundred milliseconds here: what sleeps takes none of the CPU.
std::chrono::nanoseconds cpu_time_of_a_wait(Loopback& s) {
  std::string into;
  const auto before = cpu_time_of_this_thread();
  EXPECT_EQ(s.link->receive(into, 100ms).error().code, Errc::kTimeout);
  return cpu_time_of_this_thread() - before;
}

TEST(SocketLink, PollsBeforeItSleepsWhereTheLastWaitWasShort) {
  Loopback s;
  s.link->poll_for(10s);
  s.say("soon");
  std::string into;
  ASSERT_TRUE(s.link->receive(into, 1000ms));
  EXPECT_GT(cpu_time_of_a_wait(s), 1ms);
  s.link->poll_for(50ms);
  EXPECT_LT(cpu_time_of_a_wait(s), 20ms) << "the last wait was long";
  s.link->poll_for(10s);
  s.say("soon");
  ASSERT_TRUE(s.link->receive(into, 1000ms));
  EXPECT_GT(cpu_time_of_a_wait(s), 1ms);
  EXPECT_EQ(into, "soonsoon");
}

TEST(SocketLink, SleepsAtOnceWhereItWasNotToldToPoll) {
  Loopback s;
  s.say("soon");
  std::string into;
  ASSERT_TRUE(s.link->receive(into, 1000ms));
  EXPECT_LT(cpu_time_of_a_wait(s), 20ms);
}

TEST(SocketLink, ReportsThatThePeerClosedWhileItPolls) {
  Loopback s;
  s.link->poll_for(1s);
  std::thread closer([&] {
    std::this_thread::sleep_for(20ms);
    s.peer.close();
  });
  std::string into;
  EXPECT_EQ(s.link->receive(into, 10000ms).error().code, Errc::kDisconnected);
  closer.join();
}

TEST(SocketLink, ReportsThatThePeerClosed) {
  Loopback s;
  s.say("bye");
  s.peer.close();
  std::string into;
  ASSERT_TRUE(s.link->receive(into, 1000ms));
  EXPECT_EQ(s.link->receive(into, 1000ms).error().code, Errc::kDisconnected);
}

TEST(SocketLink, EndsAWaitWhenTheProcessIsAskedToStop) {
  Loopback s;
  std::thread killer([] { ::kill(::getpid(), SIGTERM); });
  std::string into;
  EXPECT_EQ(s.link->receive(into, 10000ms).error().code, Errc::kInterrupted);
  killer.join();
  EXPECT_TRUE(s.loop.stop_requested());
  EXPECT_EQ(s.link->receive(into, 10000ms).error().code, Errc::kInterrupted);
}

TEST(SocketLink, NoticesASignalWhileBytesKeepComing) {
  Loopback s;
  s.say(std::string(1 << 20, 'x'));
  ::raise(SIGINT);
  std::string into;
  Result<> outcome;
  for (int i = 0; i < 1000 && outcome; ++i) outcome = s.link->receive(into, 1000ms);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::kInterrupted);
}

TEST(SocketLink, WaitsAgainForTheCleanUpWhateverSignalsFollow) {
  Loopback s;
  ::raise(SIGINT);
  EXPECT_TRUE(s.loop.stop_requested());
  s.loop.acknowledge_stop();
  ::raise(SIGINT);
  std::string into;
  EXPECT_EQ(s.link->receive(into, 5ms).error().code, Errc::kTimeout);
  s.say("ok");
  EXPECT_TRUE(s.link->receive(into, 1000ms));
}

TEST(SocketLink, TellsOfARequestToReloadOnceAndEndsNothingForIt) {
  Loopback s;
  EXPECT_FALSE(s.loop.take_reload());
  ::raise(SIGHUP);
  std::string into;
  EXPECT_EQ(s.link->receive(into, 5ms).error().code, Errc::kTimeout);
  EXPECT_TRUE(s.loop.reload_requested());
  EXPECT_FALSE(s.loop.stop_requested());
  EXPECT_TRUE(s.loop.take_reload());
  EXPECT_FALSE(s.loop.take_reload());
}

TEST(SocketLink, TellsWhyAnEndpointCouldNotBeReached) {
  IoLoop loop;
  std::uint16_t port = 0;
  {
    asio::io_context io;
    tcp::acceptor closed(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    port = closed.local_endpoint().port();
  }
  const auto refused = connect(loop, *Endpoint::parse("127.0.0.1:" + std::to_string(port)), 1000ms);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kDisconnected);
  EXPECT_NE(refused.error().what.find("refused"), std::string::npos);
  EXPECT_FALSE(connect(loop, *Endpoint::parse("unix:/nonexistent/socket"), 1000ms));
}

TEST(SocketLink, ConnectsToAUnixSocket) {
  std::string pattern = (std::filesystem::temp_directory_path() / "swat-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::string path = pattern + "/s";
  IoLoop loop;
  asio::io_context io;
  asio::local::stream_protocol::acceptor acceptor(io, path);
  auto link = connect(loop, *Endpoint::parse("unix:" + path), 1000ms);
  ASSERT_TRUE(link) << link.error().what;
  asio::local::stream_protocol::socket peer(io);
  acceptor.accept(peer);
  asio::write(peer, asio::buffer("x", 1));
  std::string into;
  EXPECT_TRUE((*link)->receive(into, 1000ms));
  std::filesystem::remove_all(pattern);
}

TEST(SocketLink, SurvivesALinkDroppedWhileItsWaitIsStillArmed) {
  Loopback s;
  std::string into;
  EXPECT_FALSE(s.link->receive(into, 1ms));
  s.link.reset();
  EXPECT_FALSE(s.loop.stop_requested());  // runs what is left of it
}

}  // namespace
}  // namespace swat::gdbproto
