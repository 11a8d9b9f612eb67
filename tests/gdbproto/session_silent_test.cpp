// Silent runs: what is said to the stub, what to the monitor, and what ends them.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/gdbproto/opened.hpp"

namespace swat::gdbproto {
namespace {

using namespace std::chrono_literals;

constexpr const char* kCont = "qRcmd,636f6e74";
constexpr Point kBreakpoint{PointKind::kSoftwareBreakpoint, Va{0x1000}, 1};
constexpr Point kWatch{PointKind::kWriteWatch, Va{0x2000}, 8};

// A monitor that says what the test has it say, and answers two commands.
class FakeMonitor : public Link {
 public:
  void event(const std::string& name) { coming_ += R"({"event": ")" + name + "\"}\r\n"; }
  // What query-status says, in order; the last of them for ever.
  std::vector<std::string> states{"running"};
  unsigned pauses = 0;
  bool is_gone = false;

  Result<> send(std::string_view bytes) override {
    const std::string id = R"(, "id": )" + std::to_string(++commands_) + "}\r\n";
    if (bytes.find("query-status") != bytes.npos) {
      coming_ += R"({"return": {"status": ")" + states.front() + "\"}" + id;
      if (states.size() > 1) states.erase(states.begin());
    } else {
      if (bytes.find("\"stop\"") != bytes.npos) ++pauses;
      coming_ += R"({"return": {})" + id;
    }
    return {};
  }
  Result<> receive(std::string& into, std::chrono::milliseconds) override {
    if (is_gone) return fail(Errc::kDisconnected, "gone");
    if (coming_.empty()) return fail(Errc::kTimeout, "nothing scripted");
    into += std::exchange(coming_, {});
    return {};
  }

 private:
  std::string coming_ = R"({"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}}})"
                        "\r\n";
  unsigned commands_ = 0;
};

struct Silent : Opened {
  explicit Silent(std::initializer_list<Turn> turns, std::vector<std::string> threads = {"01"})
      : Opened(turns, std::move(threads)), qmp(monitor) {
    EXPECT_TRUE(qmp.handshake());
    EXPECT_TRUE(session.run_silently(qmp));
  }
  void stops(const std::string& state) {
    monitor.event("RESUME");
    monitor.event("STOP");
    monitor.states = {state};
  }
  FakeMonitor monitor;
  Qmp qmp;
};

TEST(SessionSilent, ResumesThroughTheMonitorAndNamesNoVcpu) {
  Silent s({{kCont, "OK"}, {"Hg01", "OK"}, {"g", kG}});
  ASSERT_TRUE(s.session.resume());
  EXPECT_TRUE(s.session.running());
  EXPECT_EQ(s.session.wait_stop(0ms).error().code, Errc::kTimeout);
  s.stops("debug");
  const auto stop = s.session.wait_stop(0ms);
  ASSERT_TRUE(stop) << stop.error().what;
  EXPECT_EQ(stop->signal, 5);
  EXPECT_EQ(stop->thread, std::nullopt);
  EXPECT_FALSE(s.session.running());
  EXPECT_EQ(s.session.stats().stops, 1u);
  EXPECT_TRUE(s.session.registers(kFirst));
}

TEST(SessionSilent, WritesRegistersAndResumesInOneWrite) {
  Silent s({{"Hg02", "OK"}, {"P1=0020000000000000", "OK"}, {kCont, "OK"}}, {"01", "02"});
  const std::array<std::byte, 8> pc{std::byte{0}, std::byte{0x20}};
  const RegisterWrite write{1, pc};
  ASSERT_TRUE(s.session.write_registers_and_resume(kSecond, std::span(&write, 1)));
  EXPECT_EQ(s.writes(), 1u);
}

// Any of several may have stopped, so QEMU's own choice is not to be relied on.
TEST(SessionSilent, SelectsItsVcpuAnewAtEachStopOfSeveral) {
  Silent s({{"Hg02", "OK"}, {"g", kG}, {kCont, "OK"}, {"Hg02", "OK"}, {"g", kG}}, {"01", "02"});
  ASSERT_TRUE(s.session.registers(kSecond));
  ASSERT_TRUE(s.session.resume());
  s.stops("debug");
  ASSERT_TRUE(s.session.wait_stop(0ms));
  EXPECT_TRUE(s.session.registers(kSecond));
}

TEST(SessionSilent, TellsSomebodyElsesPauseFromABreakpoint) {
  Silent s({{kCont, "OK"}});
  ASSERT_TRUE(s.session.resume());
  s.stops("paused");
  EXPECT_EQ(s.session.wait_stop(0ms)->signal, 2);
}

TEST(SessionSilent, IsNotFooledByEventsOfStopsBefore) {
  Silent s({{"vCont;s:01", "T05thread:01;"}, {kCont, "OK"}});
  ASSERT_TRUE(s.session.step(kFirst));
  ASSERT_TRUE(s.session.wait_stop(0ms));
  ASSERT_TRUE(s.session.resume());
  s.stops("running");  // the step's events come late
  EXPECT_EQ(s.session.wait_stop(0ms).error().code, Errc::kTimeout);
  EXPECT_TRUE(s.session.running());
  s.stops("debug");
  EXPECT_EQ(s.session.wait_stop(0ms)->signal, 5);
}

TEST(SessionSilent, PausesThroughTheMonitor) {
  Silent s({{kCont, "OK"}});
  ASSERT_TRUE(s.session.resume());
  s.monitor.states = {"paused"};
  ASSERT_TRUE(s.session.interrupt());
  EXPECT_EQ(s.monitor.pauses, 1u);
  EXPECT_EQ(s.session.wait_stop(0ms)->signal, 2);
}

TEST(SessionSilent, ReportsABreakpointThatThePauseHasMet) {
  Silent s({{kCont, "OK"}});
  ASSERT_TRUE(s.session.resume());
  s.stops("debug");
  ASSERT_TRUE(s.session.interrupt());
  EXPECT_EQ(s.session.wait_stop(0ms)->signal, 5);
}

TEST(SessionSilent, DetachesFromARunningGuest) {
  Silent s({{kCont, "OK"}, {"D", "OK"}});
  ASSERT_TRUE(s.session.resume());
  s.monitor.states = {"paused"};
  EXPECT_TRUE(s.session.detach(false));
  EXPECT_EQ(s.monitor.pauses, 1u);
}

TEST(SessionSilent, EndsWithTheFirstWatchpointAndForGood) {
  Silent s({{"Z0,1000,1", "OK"}, {"Z2,2000,8", "OK"}, {"c", "T05thread:01;"}, {"z2,2000,8", "OK"}});
  ASSERT_TRUE(s.session.insert(kBreakpoint));
  EXPECT_TRUE(s.session.runs_silently());
  ASSERT_TRUE(s.session.insert(kWatch));
  EXPECT_FALSE(s.session.runs_silently());
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.wait_stop(0ms));
  ASSERT_TRUE(s.session.remove(kWatch));
  EXPECT_EQ(s.session.run_silently(s.qmp).error().code, Errc::kUsage);
}

TEST(SessionSilent, EndsWithAWatchpointInTheSameWriteAsTheResume) {
  Silent s({{"Z2,2000,8", "OK"}, {"c"}});
  ASSERT_TRUE(s.session.resume({{}, kWatch}));
  EXPECT_FALSE(s.session.runs_silently());
}

TEST(SessionSilent, CanBeEndedAtAnyStop) {
  Silent s({{kCont, "OK"}, {"c", "T05thread:01;"}});
  ASSERT_TRUE(s.session.resume());
  s.session.run_reported();
  EXPECT_TRUE(s.session.runs_silently()) << "nobody else would tell of this run's stop";
  s.stops("debug");
  ASSERT_TRUE(s.session.wait_stop(0ms));
  s.session.run_reported();
  ASSERT_TRUE(s.session.resume());
  EXPECT_EQ(s.session.wait_stop(0ms)->thread, kFirst);
}

TEST(SessionSilent, SaysThatTheMonitorIsGone) {
  Silent s({{kCont, "OK"}});
  ASSERT_TRUE(s.session.resume());
  s.monitor.is_gone = true;
  EXPECT_EQ(s.session.wait_stop(0ms).error().code, Errc::kDisconnected);
}

}  // namespace
}  // namespace swat::gdbproto
