#include "daemon/stub_starter.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "recorded.hpp"
#include "sockets.hpp"
#include "temp_folder.hpp"

namespace swat::daemon {
namespace {

using gdbproto::Endpoint;
using nlohmann::json;

const json& chardevs(const std::string& version) {
  static std::map<std::string, json> files;
  json& file = files[version];
  if (file.is_null()) file = json::parse(recorded("chardev-" + version + ".json"));
  return file;
}

// --- parse_chardev_filename

TEST(ChardevFilename, GivesTheAddressInWhatQemuPrints) {
  for (const char* version : {"7.2", "11.1"}) {
    for (const json& device : chardevs(version)["unix"]) {
      if (device["label"] != "gdb") continue;
      EXPECT_EQ(parse_chardev_filename(device["filename"].get<std::string>())->path, "/run/vm.gdb");
    }
    for (const json& device : chardevs(version)["tcp"]) {
      if (device["label"] != "gdb") continue;
      EXPECT_EQ(parse_chardev_filename(device["filename"].get<std::string>())->host, "127.0.0.1");
    }
  }
}

TEST(ChardevFilename, TakesAnyAddressForThisHost) {
  for (const char* text : {"disconnected:tcp:0.0.0.0:1234,server=on",
                           "disconnected:tcp:[::]:1234,server=on", "tcp:*:1234,server"}) {
    const auto endpoint = parse_chardev_filename(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->to_string(), "localhost:1234") << text;
  }
}

TEST(ChardevFilename, RefusesDevicesThatAreNoSocket) {
  for (const char* text : {"", "pty:/dev/pts/1", "stdio", "null", "gdb", "disconnected:", "vc"}) {
    EXPECT_FALSE(parse_chardev_filename(text)) << text;
  }
}

// --- stub_is_taken

TEST(StubIsTaken, SeesAClientOfAUnixSocket) {
  const TempFolder folder;
  const Listener stub(folder.file("vm.gdb"));
  EXPECT_FALSE(stub_is_taken(stub.endpoint()));
  const Fd client = connected_to(stub.endpoint());
  const Fd server = stub.accept_within(std::chrono::seconds(10));
  EXPECT_TRUE(stub_is_taken(stub.endpoint()));
}

TEST(StubIsTaken, SeesAClientOfAPort) {
  const Listener stub;
  EXPECT_FALSE(stub_is_taken(stub.endpoint()));
  const Fd client = connected_to(stub.endpoint());
  const Fd server = stub.accept_within(std::chrono::seconds(10));
  EXPECT_TRUE(stub_is_taken(stub.endpoint()));
}

TEST(StubIsTaken, SeesAClientOfASocketWhosePathHasSpaces) {
  const TempFolder folder;
  const Listener stub(folder.file("my vm.gdb"));
  const Fd client = connected_to(stub.endpoint());
  const Fd server = stub.accept_within(std::chrono::seconds(10));
  EXPECT_TRUE(stub_is_taken(stub.endpoint()));
}

TEST(StubIsTaken, CannotTellOfOtherHosts) {
  const Listener stub;
  const Fd client = connected_to(stub.endpoint());
  const Fd server = stub.accept_within(std::chrono::seconds(10));
  EXPECT_FALSE(stub_is_taken({"lab.example", stub.endpoint().port, {}}));
}

// --- stub_has_client, find_or_start_stub

// A QMP monitor that answers query-chardev, and `gdbserver` with each text in turn.
class Monitor final : public gdbproto::Link {
 public:
  Monitor(json devices, std::vector<std::string> answers)
      : devices_(std::move(devices)), answers_(answers.begin(), answers.end()) {
    coming_ = R"({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}}})"
              "\r\n";
  }

  Result<> send(std::string_view bytes) override {
    const json request = json::parse(bytes);
    json reply = {{"return", json::object()}};
    if (request["execute"] == "query-chardev") reply["return"] = devices_;
    if (request["execute"] == "human-monitor-command") {
      told.push_back(request["arguments"]["command-line"]);
      reply["return"] = answers_.empty() ? "no more" : answers_.front();
      if (!answers_.empty()) answers_.pop_front();
    }
    if (request.contains("id")) reply["id"] = request["id"];
    coming_ += reply.dump() + "\r\n";
    return {};
  }
  Result<> receive(std::string& into, std::chrono::milliseconds) override {
    if (coming_.empty()) return fail(Errc::kTimeout, "nothing more");
    into += std::exchange(coming_, {});
    return {};
  }

  std::vector<std::string> told;

 private:
  std::string coming_;
  json devices_;
  std::deque<std::string> answers_;
};

struct Asked {
  explicit Asked(json devices, std::vector<std::string> answers = {})
      : monitor(std::move(devices), std::move(answers)), qmp(monitor) {
    EXPECT_TRUE(qmp.handshake());
  }
  [[nodiscard]] Result<StubPlace> stub(const Endpoint& at) { return find_or_start_stub(qmp, at); }

  Monitor monitor;
  gdbproto::Qmp qmp;
};

const Endpoint kUnixMonitor{{}, {}, "/run/vm.qmp"};
const Endpoint kTcpMonitor{"lab.example", "4444", {}};
const Endpoint kLocalMonitor{"localhost", "4444", {}};

class OfVersion : public testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] json recording(const char* what) const { return chardevs(GetParam())[what]; }
};
INSTANTIATE_TEST_SUITE_P(StubStarter, OfVersion, testing::Values("7.2", "11.1"),
                         [](const auto& row) { return row.index == 0 ? "old" : "new"; });

TEST_P(OfVersion, TakesTheStubThatIsThere) {
  Asked vm(recording("unix"));
  const auto place = vm.stub(kUnixMonitor);
  ASSERT_TRUE(place) << place.error().what;
  EXPECT_EQ(place->endpoint.path, "/run/vm.gdb");
  EXPECT_FALSE(place->started_by_us);
  EXPECT_TRUE(vm.monitor.told.empty());
}

TEST_P(OfVersion, ReachesAStubOnTheMonitorsHost) {
  Asked vm(recording("any"));
  const auto place = vm.stub(kTcpMonitor);
  ASSERT_TRUE(place) << place.error().what;
  EXPECT_EQ(place->endpoint.host, "lab.example");
}

TEST_P(OfVersion, TellsWhetherTheStubHasAClient) {
  const std::pair<const char*, bool> kinds[] = {
      {"unix", false},      {"tcp", false},      {"any", false},     {"none", false},
      {"unix taken", true}, {"tcp taken", true}, {"any taken", true}};
  for (const auto& [kind, taken] : kinds) {
    Asked vm(recording(kind));
    EXPECT_EQ(stub_has_client(vm.qmp), taken) << kind;
  }
}

TEST_P(OfVersion, LeavesAStubAloneThatHasAClient) {
  for (const char* kind : {"unix taken", "tcp taken", "any taken"}) {
    Asked vm(recording(kind));
    EXPECT_FALSE(vm.stub(kUnixMonitor)) << kind;
    EXPECT_TRUE(vm.monitor.told.empty()) << kind;
  }
}

TEST_P(OfVersion, StartsAStubBesideTheMonitorsSocket) {
  Asked vm(recording("none"), {recording("started")});
  const auto place = vm.stub(kUnixMonitor);
  ASSERT_TRUE(place) << place.error().what;
  EXPECT_TRUE(place->started_by_us);
  ASSERT_EQ(vm.monitor.told.size(), 1u);
  EXPECT_TRUE(vm.monitor.told[0].starts_with("gdbserver unix:/run/")) << vm.monitor.told[0];
  EXPECT_EQ(vm.monitor.told[0], "gdbserver unix:" + place->endpoint.path + ",server=on,wait=off");
}

TEST_P(OfVersion, StartsAStubOnAPortWhereQemuCannotMakeASocket) {
  Asked vm(recording("none"), {recording("refused"), recording("started after refused")});
  const auto place = vm.stub(kUnixMonitor);
  ASSERT_TRUE(place) << place.error().what;
  EXPECT_TRUE(place->endpoint.path.empty());
  ASSERT_EQ(vm.monitor.told.size(), 2u);
  EXPECT_NE(vm.monitor.told[1].find(":" + place->endpoint.port + ",server=on"), std::string::npos);
}

TEST_P(OfVersion, GivesUpWhenQemuRefusesEveryPort) {
  Asked vm(recording("none"), std::vector<std::string>(20, recording("refused")));
  const auto place = vm.stub(kLocalMonitor);
  ASSERT_FALSE(place);
  EXPECT_EQ(place.error().code, Errc::kUnsupported);
  EXPECT_LT(vm.monitor.told.size(), 10u);
}

// A gdbstub is the whole VM, and asks for no password.
TEST_P(OfVersion, OpensNoPortToOtherHostsForALocalMonitor) {
  Asked vm(recording("none"), {recording("started after refused")});
  ASSERT_TRUE(vm.stub(kLocalMonitor));
  EXPECT_TRUE(std::regex_match(vm.monitor.told.at(0),
                               std::regex(R"(gdbserver tcp:127\.0\.0\.1:\d+,server=on,wait=off)")))
      << vm.monitor.told.at(0);
}

TEST_P(OfVersion, StartsAStubThatARemoteMonitorsHostServesToUs) {
  Asked vm(recording("none"), {recording("started after refused")});
  const auto place = vm.stub(kTcpMonitor);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->endpoint.host, "lab.example");
  EXPECT_TRUE(vm.monitor.told.at(0).starts_with("gdbserver tcp::")) << vm.monitor.told.at(0);
}

TEST(StubStarter, RefusesAnswersThatQemuDoesNotGive) {
  for (const char* devices :
       {"null", "{}", "5", R"([{"label": "gdb", "filename": 5}])",
        R"([{"label": 5}, {"label": "gdb", "filename": null}])", R"([{"label": "gdb"}])",
        R"([{"label": "gdb", "filename": "pty"}])"}) {
    Asked vm(json::parse(devices));
    EXPECT_FALSE(vm.stub(kUnixMonitor)) << devices;
    EXPECT_TRUE(vm.monitor.told.empty()) << devices;
  }
}

}  // namespace
}  // namespace swat::daemon
