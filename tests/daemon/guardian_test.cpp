// Real guardian processes against a stub and a monitor that the test itself serves.
#include "daemon/guardian.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "gdbproto/hex.hpp"
#include "memory_stub.hpp"
#include "sockets.hpp"
#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

using namespace std::chrono_literals;
using Commands = std::vector<std::string>;

constexpr auto kDeadline = 20s;

std::string received(const Fd& fd) {
  std::array<char, 4096> chunk;
  if (!readable(fd, kDeadline)) {
    ADD_FAILURE() << "nothing came";
    return {};
  }
  const ssize_t n = recv(fd.get(), chunk.data(), chunk.size(), 0);
  return {chunk.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
}

void send_all(const Fd& fd, const std::string& bytes) {
  EXPECT_EQ(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
}

// Answers a client of the stub until it goes away; what it was told.
Commands serve_stub(const Fd& client) {
  MemoryStub stub(Pa{0}, {});
  Commands commands;
  std::string buffer;
  for (std::string more = received(client); !more.empty(); more = received(client)) {
    buffer += more;
    while (!buffer.empty()) {
      const auto hash = buffer.find('#');
      if (buffer[0] == '$' && (hash == std::string::npos || hash + 3 > buffer.size())) break;
      const bool bare = buffer[0] != '$';
      commands.push_back(bare ? buffer.substr(0, 1) : buffer.substr(1, hash - 1));
      buffer.erase(0, bare ? 1 : hash + 3);
      if (!bare) send_all(client, "+" + gdbproto::wire_packet(stub.answer(commands.back())));
    }
  }
  if (!buffer.empty()) commands.push_back(buffer);
  return commands;
}

Commands serve_next(const Listener& stub) {
  const Fd client = stub.accept_within(kDeadline);
  EXPECT_GE(client.get(), 0) << "nobody came";
  return client.get() < 0 ? Commands{} : serve_stub(client);
}

// Answers a client of the monitor; the HMP commands that it was told.
Commands serve_monitor(const Listener& monitor) {
  const Fd client = monitor.accept_within(kDeadline);
  if (client.get() < 0) return {"nobody came"};
  send_all(client, R"({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}}})"
                   "\r\n");
  Commands commands;
  for (std::string line = received(client); !line.empty(); line = received(client)) {
    const auto request = nlohmann::json::parse(line);
    nlohmann::json reply = {{"return", nlohmann::json::object()}};
    if (request["execute"] == "human-monitor-command") {
      commands.push_back(request["arguments"]["command-line"]);
      reply["return"] = "";
    }
    if (request.contains("id")) reply["id"] = request["id"];
    send_all(client, reply.dump() + "\r\n");
  }
  return commands;
}

// The pipe closes; when this has come back the guardian process has ended.
std::future<void> closed(std::optional<Guardian>& guardian) {
  return std::async(std::launch::async, [&guardian] { guardian.reset(); });
}

std::optional<Guardian> started() {
  auto guardian = Guardian::start();
  EXPECT_TRUE(guardian);
  return std::optional<Guardian>(std::move(*guardian));
}

struct Stub {
  TempFolder folder;
  Listener listener{folder.file("vm.gdb")};
};

TEST(Guardian, DetachesWhenItIsArmedAndThePipeCloses) {
  const Stub stub;
  auto guardian = started();
  ASSERT_TRUE(guardian->arm({stub.listener.endpoint(), false, {}}));
  const auto ended = closed(guardian);
  const Commands commands = serve_next(stub.listener);
  ASSERT_FALSE(commands.empty());
  EXPECT_EQ(commands.back(), "D");
}

std::string monitor_packet(std::string_view command) {
  std::string packet = "qRcmd,";
  gdbproto::append_hex(packet, std::as_bytes(std::span(command)));
  return packet;
}

// Before the guest runs on.
TEST(Guardian, BringsQemusLogBackAndRemovesTheFolder) {
  const Stub stub;
  const std::string folder = stub.folder.file("ours");
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/log") << "x";
  auto guardian = started();
  GuardianDuty duty{stub.listener.endpoint(), false, {}, {"log none", "logfile \"/a b\""}, folder};
  ASSERT_TRUE(guardian->arm(duty));
  auto ended = closed(guardian);
  const Commands commands = serve_next(stub.listener);
  ASSERT_GE(commands.size(), 5u);
  const Commands last(commands.end() - 5, commands.end());
  EXPECT_EQ(last, (Commands{monitor_packet("log none"), monitor_packet("logfile \"/a b\""),
                            "Z2,0,20000", "z2,0,20000", "D"}));
  ended.wait();
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST(Guardian, RefusesWhatItCannotBeTold) {
  const Stub stub;
  auto guardian = started();
  GuardianDuty duty{stub.listener.endpoint(), false, {}, {}, std::string(5000, 'x')};
  EXPECT_FALSE(guardian->arm(duty));
  duty.folder = "two\nlines";
  EXPECT_FALSE(guardian->arm(duty));
}

TEST(Guardian, ReachesAStubOnAPort) {
  const Listener listener;
  auto guardian = started();
  ASSERT_TRUE(guardian->arm({listener.endpoint(), false, {}}));
  const auto ended = closed(guardian);
  const Commands commands = serve_next(listener);
  ASSERT_FALSE(commands.empty());
  EXPECT_EQ(commands.back(), "D");
}

// The byte behind D stops the guest before it has executed anything.
TEST(Guardian, LeavesAGuestPausedThatWasPaused) {
  const Stub stub;
  auto guardian = started();
  ASSERT_TRUE(guardian->arm({stub.listener.endpoint(), true, {}}));
  const auto ended = closed(guardian);
  const Commands commands = serve_next(stub.listener);
  ASSERT_GE(commands.size(), 2u);
  EXPECT_EQ(commands[commands.size() - 2], "D");
  EXPECT_EQ(commands.back(), "$");
}

TEST(Guardian, DoesWhatItWasToldLast) {
  const Stub stub;
  auto guardian = started();
  ASSERT_TRUE(guardian->arm({{"127.0.0.1", "1", {}}, true, {}}));
  ASSERT_TRUE(guardian->disarm());
  ASSERT_TRUE(guardian->arm({stub.listener.endpoint(), false, {}}));
  const auto ended = closed(guardian);
  const Commands commands = serve_next(stub.listener);
  ASSERT_FALSE(commands.empty());
  EXPECT_EQ(commands.back(), "D");
}

TEST(Guardian, NeverConnectsWhenItIsDisarmed) {
  const Stub stub;
  auto guardian = started();
  ASSERT_TRUE(guardian->arm({stub.listener.endpoint(), false, {}}));
  ASSERT_TRUE(guardian->disarm());
  guardian.reset();  // waits for its end
  EXPECT_FALSE(readable(stub.listener.socket_fd(), 0ms));
}

TEST(Guardian, NeverConnectsWhenItWasNotArmed) {
  const Stub stub;
  started().reset();
  EXPECT_FALSE(readable(stub.listener.socket_fd(), 0ms));
}

TEST(Guardian, StopsAStubThatWeHadStarted) {
  const Stub stub;
  const Listener monitor(stub.folder.file("vm.qmp"));
  auto guardian = started();
  ASSERT_TRUE(guardian->arm({stub.listener.endpoint(), false, monitor.endpoint()}));
  const auto ended = closed(guardian);
  serve_next(stub.listener);
  EXPECT_EQ(serve_monitor(monitor), Commands{"gdbserver none"});
}

TEST(Guardian, SaysWhenItsProcessIsGone) {
  signal(SIGPIPE, SIG_IGN);  // as main() does
  auto guardian = started();
  std::ifstream children("/proc/self/task/" + std::to_string(gettid()) + "/children");
  pid_t child = 0;
  if (!(children >> child)) GTEST_SKIP() << "no list of children here";
  kill(child, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  const auto armed = guardian->arm({{"127.0.0.1", "1", {}}, false, {}});
  ASSERT_FALSE(armed);
  EXPECT_EQ(armed.error().code, Errc::kDisconnected);
}

// --- kill -9

// A process that does as swatd does, until it is killed.
pid_t fork_tracer(const GuardianDuty& duty, bool disarm) {
  std::array<int, 2> ready{};
  EXPECT_EQ(pipe(ready.data()), 0);
  const pid_t tracer = fork();
  if (tracer == 0) {
    close(ready[0]);
    auto guardian = Guardian::start();
    bool fine = guardian && guardian->arm(duty);
    if (disarm) fine = fine && guardian->disarm();
    if (fine && write(ready[1], "!", 1) == 1) pause();
    _exit(1);
  }
  close(ready[1]);
  const Fd wait(ready[0]);
  char byte = 0;
  EXPECT_TRUE(readable(wait, kDeadline));
  EXPECT_EQ(read(wait.get(), &byte, 1), 1);
  return tracer;
}

void kill_9(pid_t process) {
  kill(process, SIGKILL);
  waitpid(process, nullptr, 0);
}

// The guardian, which has lost its parent.
int exit_code_of_orphan() {
  int status = 0;
  return wait(&status) > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Guardian, ReleasesTheVmOfAProcessThatWasKilled) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const Stub stub;
  kill_9(fork_tracer({stub.listener.endpoint(), false, {}, {}, {}}, false));
  const Commands commands = serve_next(stub.listener);
  ASSERT_FALSE(commands.empty());
  EXPECT_EQ(commands.back(), "D");
  EXPECT_EQ(exit_code_of_orphan(), 0);
}

TEST(Guardian, LeavesTheVmAloneOfAProcessThatWasKilledAfterItsWork) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const Stub stub;
  kill_9(fork_tracer({stub.listener.endpoint(), false, {}, {}, {}}, true));
  EXPECT_EQ(exit_code_of_orphan(), 0);
  EXPECT_FALSE(readable(stub.listener.socket_fd(), 0ms));
}

// --- release_vm

TEST(ReleaseVm, TriesAgainWhenTheStubHangsUp) {
  const Stub stub;
  auto released = std::async(std::launch::async, [&] {
    return release_vm({stub.listener.endpoint(), false, {}, {}, {}}, kDeadline).has_value();
  });
  ASSERT_GE(stub.listener.accept_within(kDeadline).get(), 0);  // and is closed at once
  const Commands commands = serve_next(stub.listener);
  ASSERT_FALSE(commands.empty());
  EXPECT_EQ(commands.back(), "D");
  EXPECT_TRUE(released.get());
}

TEST(ReleaseVm, GivesUpWhenNobodyListens) {
  const TempFolder folder;
  const auto released = release_vm({{{}, {}, folder.file("vm.gdb")}, false, {}}, 100ms);
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().code, Errc::kDisconnected);
}

}  // namespace
}  // namespace swat::daemon
