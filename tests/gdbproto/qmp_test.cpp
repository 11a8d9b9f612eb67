#include "gdbproto/qmp.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <vector>

namespace swat::gdbproto {
namespace {

using namespace std::chrono_literals;

constexpr const char* kGreeting =
    R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "x"}, )"
    R"("capabilities": ["oob"]}})"
    "\r\n";

// Answers the n-th line that it is told with the n-th text; "ID" in it becomes the request's id.
class Monitor : public Link {
 public:
  explicit Monitor(std::vector<std::string> answers, std::string greeting = kGreeting)
      : coming_(std::move(greeting)), answers_(answers.begin(), answers.end()) {
    answers_.emplace_front(R"({"return": {}, "id": ID})"
                           "\r\n");
  }
  Result<> send(std::string_view bytes) override {
    told.emplace_back(bytes);
    if (answers_.empty()) return {};
    std::string answer = answers_.front();
    answers_.pop_front();
    for (std::size_t at = answer.find("ID"); at != std::string::npos; at = answer.find("ID")) {
      answer.replace(at, 2, std::to_string(told.size()));
    }
    coming_ += answer;
    return {};
  }
  Result<> receive(std::string& into, std::chrono::milliseconds) override {
    if (coming_.empty()) return fail(end, "nothing more");
    const std::size_t n = std::min(drip, coming_.size());
    into.append(coming_, 0, n);
    coming_.erase(0, n);
    return {};
  }

  std::vector<std::string> told;
  std::size_t drip = static_cast<std::size_t>(-1);
  Errc end = Errc::kTimeout;

 private:
  std::string coming_;
  std::deque<std::string> answers_;
};

std::string line(const std::string& json) { return json + "\r\n"; }

struct Opened {
  explicit Opened(std::vector<std::string> answers) : monitor(std::move(answers)), qmp(monitor) {
    EXPECT_TRUE(qmp.handshake());
  }
  Monitor monitor;
  Qmp qmp;
};

TEST(Qmp, ReadsTheVersionFromTheGreeting) {
  Opened s({});
  EXPECT_EQ(s.qmp.version(), "7.2.22");
}

TEST(Qmp, TimesOutWhenAnotherClientHoldsTheMonitor) {
  Monitor monitor({}, "");
  EXPECT_EQ(Qmp(monitor).handshake().error().code, Errc::kTimeout);
}

TEST(Qmp, RefusesAPeerThatIsNoMonitor) {
  for (const char* greeting : {"SSH-2.0-OpenSSH_9.2\r\n", "\n", "{}\n", "[]\n", "{\"QMP\": 1}\n",
                               "{\"QMP\": {\"version\": {\"qemu\": {\"major\": \"7\"}}}}\n",
                               "{\"QMP\": {\"version\": []}}\n", "\xff\xfe{}\n"}) {
    Monitor monitor({}, greeting);
    EXPECT_EQ(Qmp(monitor).handshake().error().code, Errc::kProtocol) << greeting;
  }
}

TEST(Qmp, ReturnsTheReplyAsJsonText) {
  Opened s({line(R"({"return": {"a": [1, 2]}, "id": ID})")});
  EXPECT_EQ(*s.qmp.execute("query-x"), R"({"a":[1,2]})");
}

TEST(Qmp, PassesArgumentsOn) {
  Opened s({line(R"({"return": {}, "id": ID})")});
  ASSERT_TRUE(s.qmp.execute("x", R"({"live": false})"));
  EXPECT_NE(s.monitor.told.back().find(R"("arguments":{"live":false})"), std::string::npos);
  EXPECT_EQ(s.monitor.told.back().back(), '\n');
}

TEST(Qmp, RefusesArgumentsThatAreNoObject) {
  Opened s({});
  for (const char* arguments : {"1", "{", "{}}", "[]", "{\"a\": \"\xff\"}"}) {
    EXPECT_EQ(s.qmp.execute("x", arguments).error().code, Errc::kUsage) << arguments;
  }
}

TEST(Qmp, ReportsQemusOwnErrorWithItsDescription) {
  Opened s({line(R"({"error": {"class": "GenericError", "desc": "no such file"}, "id": ID})")});
  const auto reply = s.qmp.execute("x");
  EXPECT_EQ(reply.error().code, Errc::kUnsupported);
  EXPECT_EQ(reply.error().what, "x: no such file");
}

TEST(Qmp, ReportsAnErrorThatCarriesNoId) {
  Opened s({line(R"({"error": {"class": "GenericError", "desc": "JSON parse error"}})")});
  EXPECT_EQ(s.qmp.execute("x").error().code, Errc::kUnsupported);
}

TEST(Qmp, KeepsEventsThatComeBeforeTheReply) {
  Opened s({line(R"({"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}})") +
            line(R"({"event": "RESUME"})") + line(R"({"return": {"status": "debug"}, "id": ID})") +
            line(R"({"event": "RESET", "data": {"guest": true}})")});
  EXPECT_EQ(*s.qmp.run_state(), "debug");
  EXPECT_EQ(*s.qmp.next_event(0ms), "STOP");
  EXPECT_EQ(*s.qmp.next_event(0ms), "RESUME");
  EXPECT_EQ(*s.qmp.next_event(0ms), "RESET");
  EXPECT_EQ(s.qmp.next_event(0ms).error().code, Errc::kTimeout);
}

TEST(Qmp, BoundsTheEventsItKeepsAndCountsTheRest) {
  std::string flood;
  for (std::size_t i = 0; i < Qmp::kMaxEvents + 10; ++i) flood += line(R"({"event": "STOP"})");
  Opened s({flood + line(R"({"return": {}, "id": ID})")});
  ASSERT_TRUE(s.qmp.execute("x"));
  EXPECT_EQ(s.qmp.events_dropped(), 10u);
}

TEST(Qmp, DecodesAtEverySplit) {
  for (std::size_t drip = 1; drip < 20; ++drip) {
    Monitor monitor({line(R"({"event": "STOP"})") + line(R"({"return": "text", "id": ID})")});
    monitor.drip = drip;
    Qmp qmp(monitor);
    ASSERT_TRUE(qmp.handshake());
    EXPECT_EQ(*qmp.monitor("info"), "text");
    EXPECT_EQ(*qmp.next_event(0ms), "STOP");
  }
}

TEST(Qmp, PassesOverALateReplyToACommandGivenUp) {
  Opened s({"", line(R"({"return": "old", "id": 2})") + line(R"({"return": "new", "id": ID})")});
  EXPECT_EQ(s.qmp.execute("slow").error().code, Errc::kTimeout);
  EXPECT_EQ(*s.qmp.execute("next"), "\"new\"");
}

TEST(Qmp, ReportsGarbageInPlaceOfAReply) {
  for (const char* text : {"garbage", "{", "[]", "{}", "1", "{\"return\": }", "\x01\x02"}) {
    Opened s({line(text)});
    EXPECT_EQ(s.qmp.execute("x").error().code, Errc::kProtocol) << text;
  }
}

TEST(Qmp, ReportsALineWithoutEnd) {
  Opened s({std::string(17 << 20, ' ')});
  EXPECT_EQ(s.qmp.execute("x").error().code, Errc::kProtocol);
}

TEST(Qmp, ReportsJsonNestedWithoutEnd) {
  const std::size_t n = 100000;
  Opened s({line(R"({"return": )" + std::string(n, '[') + std::string(n, ']') + "}")});
  EXPECT_EQ(s.qmp.execute("x").error().code, Errc::kProtocol);
}

TEST(Qmp, ReportsAReplyOfTheWrongType) {
  for (const char* value : {"1", "null", "{}", "[]", "{\"status\": 1}"}) {
    Opened s({line(std::string(R"({"return": )") + value + R"(, "id": ID})"),
              line(std::string(R"({"return": )") + value + R"(, "id": ID})")});
    EXPECT_EQ(s.qmp.monitor("info").error().code, Errc::kProtocol) << value;
    EXPECT_EQ(s.qmp.run_state().error().code, Errc::kProtocol) << value;
  }
}

TEST(Qmp, ReportsAConnectionThatCloses) {
  Opened s({});
  s.monitor.end = Errc::kDisconnected;
  EXPECT_EQ(s.qmp.execute("x").error().code, Errc::kDisconnected);
  EXPECT_EQ(s.qmp.next_event(0ms).error().code, Errc::kDisconnected);
}

}  // namespace
}  // namespace swat::gdbproto
