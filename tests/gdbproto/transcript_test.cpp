// Our codec against every byte that gdb and real QEMUs have exchanged.
#include "tests/gdbproto/transcript.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gdbproto/packet.hpp"
#include "gdbproto/qmp.hpp"
#include "gdbproto/session.hpp"
#include "gdbproto/stop_reply.hpp"
#include "tests/gdbproto/scripted_peer.hpp"

namespace swat::gdbproto {
namespace {

class Transcript : public ::testing::TestWithParam<const char*> {
 protected:
  std::vector<LogLine> log = read_remote_log(std::string(GetParam()) + ".log");
};

TEST_P(Transcript, DecodesAndEncodesEveryFrameAlike) {
  std::size_t packets = 0;
  for (const LogLine& line : log) {
    FrameDecoder decoder;
    decoder.feed(line.bytes);
    std::string again;
    auto frame = decoder.next();
    for (; frame && *frame; frame = decoder.next()) {
      const bool is_packet = (*frame)->kind == Frame::Kind::kPacket;
      packets += is_packet;
      again += is_packet ? encode_packet((*frame)->payload) : "+";
    }
    ASSERT_TRUE(frame) << frame.error().what << ": " << line.bytes;
    EXPECT_EQ(again, line.bytes);
  }
  EXPECT_GT(packets, 100u);
}

TEST_P(Transcript, DecodesTheStreamOneByteAtATime) {
  for (const bool from_gdb : {true, false}) {
    FrameDecoder whole;
    FrameDecoder drips;
    std::vector<std::string> of_whole;
    std::vector<std::string> of_drips;
    for (const LogLine& line : log) {
      if (line.from_gdb != from_gdb) continue;
      whole.feed(line.bytes);
      while (auto frame = *whole.next()) of_whole.push_back(frame->payload);
      for (const char c : line.bytes) {
        drips.feed(std::string_view(&c, 1));
        while (auto frame = *drips.next()) of_drips.push_back(frame->payload);
      }
    }
    EXPECT_EQ(of_whole, of_drips);
  }
}

TEST_P(Transcript, UnderstandsEveryStopReply) {
  std::size_t watches = 0;
  for (const LogLine& line : log) {
    const std::size_t at = line.bytes.find("$T");
    if (line.from_gdb || at == std::string::npos) continue;
    const auto stop = StopReply::parse(line.bytes.substr(at + 1, line.bytes.find('#') - at - 1));
    ASSERT_TRUE(stop) << line.bytes;
    if (stop->watch) {
      EXPECT_EQ(stop->watch, Va{0x46c});
      ++watches;
    }
  }
  EXPECT_EQ(watches, 2u);
}

// A session is told what QEMU told gdb: multiprocess thread ids, each version's XML.
TEST_P(Transcript, HandshakesWithWhatQemuToldGdb) {
  const auto annexes = annexes_of(log);
  std::vector<Turn> turns;
  turns.emplace_back("qSupported", "PacketSize=20020;qXfer:features:read+");
  const auto add = [&](const std::string& annex) {
    turns.emplace_back("qXfer:features:read:" + annex + ":0,10010",
                       Reply::raw(encode_packet("l" + annexes.at(annex))));
  };
  add("target.xml");
  for (const auto& [name, text] : annexes) {
    if (name != "target.xml") add(name);
  }
  turns.emplace_back("qfThreadInfo", "mp01.01");
  turns.emplace_back("qsThreadInfo", "mp01.02");
  turns.emplace_back("qsThreadInfo", "l");
  turns.emplace_back("D;1", "OK");
  ScriptedPeer qemu(turns);
  Session session(qemu);
  ASSERT_TRUE(session.handshake());
  EXPECT_TRUE(session.detach(false));
}

TEST_P(Transcript, HoldsTheQmpConversationAsRecorded) {
  class Recorded : public Link {
   public:
    explicit Recorded(const std::string& text) {
      for (std::size_t start = 0; start < text.size();) {
        const std::size_t end = text.find('\n', start);
        lines_.push_back(text.substr(start, end - start));
        start = end + 1;
      }
    }
    // QEMU echoes the id of the request, which the recorded one did not have.
    Result<> send(std::string_view bytes) override {
      const auto ours = nlohmann::json::parse(bytes);
      const auto recorded = nlohmann::json::parse(lines_.at(next_++).substr(2));
      EXPECT_EQ(ours["execute"], recorded["execute"]);
      id_ = ours["id"];
      return {};
    }
    Result<> receive(std::string& into, std::chrono::milliseconds) override {
      if (next_ == lines_.size() || lines_[next_][0] != 'r') {
        return fail(Errc::kTimeout, "nothing recorded");
      }
      auto message = nlohmann::json::parse(lines_[next_++].substr(2));
      if (message.contains("return") || message.contains("error")) message["id"] = id_;
      into += message.dump() + "\r\n";
      return {};
    }

   private:
    std::vector<std::string> lines_;
    std::size_t next_ = 0;
    nlohmann::json id_;
  };
  Recorded link(transcript_file(std::string(GetParam()) + ".qmp"));
  Qmp qmp(link);
  ASSERT_TRUE(qmp.handshake());
  EXPECT_TRUE(std::string_view(GetParam()).find("7.2") != std::string_view::npos
                  ? qmp.version().starts_with("7.2.")
                  : qmp.version().starts_with("11.1."));
  EXPECT_EQ(*qmp.run_state(), "running");
  const auto unknown = qmp.execute("no-such-command");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().what.find("has not been found"), std::string::npos);
  EXPECT_TRUE(qmp.execute("stop"));
  EXPECT_NE(qmp.monitor("info status")->find("paused"), std::string::npos);
  EXPECT_EQ(*qmp.next_event(std::chrono::milliseconds(0)), "STOP");
}

INSTANTIATE_TEST_SUITE_P(Recorded, Transcript, ::testing::ValuesIn(kRecordings),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::replace_if(
                               name.begin(), name.end(),
                               [](char c) { return c == '.' || c == '-'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace swat::gdbproto
