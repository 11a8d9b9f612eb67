#include "gdbproto/session.hpp"

#include <gtest/gtest.h>

#include "tests/gdbproto/scripted_peer.hpp"

namespace swat::gdbproto {
namespace {

using namespace std::chrono_literals;

constexpr ThreadId kFirst{std::nullopt, 1};
constexpr ThreadId kSecond{std::nullopt, 2};
// 20 bytes: rax = 1, rip = 0x2000, eflags = 0x246.
constexpr const char* kG = "0100000000000000002000000000000046020000";

TEST(Session, LearnsTargetAndVcpusAtTheHandshake) {
  ScriptedPeer qemu(handshake_turns({"01", "02"}));
  Session session(qemu);
  ASSERT_TRUE(session.handshake());
  EXPECT_EQ(session.target().architecture(), "i386:x86-64");
  EXPECT_EQ(session.threads(), (std::vector{kFirst, kSecond}));
  EXPECT_EQ(session.packet_size(), 0x1000u);
  EXPECT_FALSE(session.saw_connect_stop());
}

TEST(Session, HandshakesWithOneByteAReceive) {
  ScriptedPeer qemu(handshake_turns());
  qemu.drip(1);
  EXPECT_TRUE(Session(qemu).handshake());
}

TEST(Session, DropsTheStopThatComesUnaskedAtConnect) {
  ScriptedPeer qemu(handshake_turns());
  qemu.say("T02thread:01;");
  Session session(qemu);
  ASSERT_TRUE(session.handshake());
  EXPECT_TRUE(session.saw_connect_stop());
  EXPECT_FALSE(session.running());
}

TEST(Session, SaysItAgainAfterAClientThatDiedWithinAPacket) {
  std::vector<Turn> turns = handshake_turns();
  turns.insert(turns.begin(), Turn("qSupported", Reply::raw("-")));
  ScriptedPeer qemu(turns);
  EXPECT_TRUE(Session(qemu).handshake());
}

TEST(Session, GivesUpOnAStubThatRefusesEveryPacket) {
  ScriptedPeer qemu{{"qSupported", Reply::raw("-")},
                    {"qSupported", Reply::raw("-")},
                    {"qSupported", Reply::raw("-")}};
  EXPECT_EQ(Session(qemu).handshake().error().code, Errc::kProtocol);
}

// QEMU reads the question when the other client has gone, and stops the guest before that.
TEST(Session, LetsTheGuestRunThatWillBeStoppedForItLater) {
  ScriptedPeer qemu{{"qSupported", Reply::fails(Errc::kTimeout)}, {"c"}};
  Session session(qemu);
  EXPECT_EQ(session.handshake().error().code, Errc::kTimeout);
  EXPECT_FALSE(session.is_stub());
  EXPECT_EQ(session.detach(false).error().code, Errc::kUsage);
}

TEST(Session, LetsTheGuestRunWhenTheStubSpeaksButDoesNotAnswer) {
  ScriptedPeer qemu{{"qSupported", "T02thread:01;", Reply::fails(Errc::kTimeout)}, {"c"}};
  EXPECT_EQ(Session(qemu).handshake().error().code, Errc::kTimeout);
}

TEST(Session, ResumesNothingThatIsNoStub) {
  ScriptedPeer peer{{"qSupported", Reply::raw("login: "), Reply::fails(Errc::kTimeout)}};
  EXPECT_FALSE(Session(peer).handshake());
}

TEST(Session, RefusesAPeerThatIsNoStubOfQemus) {
  for (const Reply& reply :
       {Reply(""), Reply("E01"), Reply("PacketSize=1000"), Reply("qXfer:features:read+"),
        Reply("PacketSize=0;qXfer:features:read+"), Reply("PacketSize=xx;qXfer:features:read+"),
        Reply::raw("SSH-2.0-OpenSSH_9.2\r\n"), Reply::raw("$OK#00")}) {
    ScriptedPeer peer{{"qSupported", {reply}}};
    EXPECT_EQ(Session(peer).handshake().error().code, Errc::kProtocol) << reply.bytes;
  }
}

TEST(Session, ReportsAConnectionThatCloses) {
  ScriptedPeer qemu{{"qSupported", Reply::fails(Errc::kDisconnected)}};
  EXPECT_EQ(Session(qemu).handshake().error().code, Errc::kDisconnected);
}

TEST(Session, BoundsAPacketSizeOutOfAllReason) {
  ScriptedPeer qemu{{"qSupported", "PacketSize=ffffffffffffffff;qXfer:features:read+"},
                    {"qXfer:features:read:target.xml:0,40000", ""}};
  Session session(qemu);
  EXPECT_FALSE(session.handshake());
  EXPECT_LE(2 * session.packet_size(), FrameDecoder::kMaxFrame);
}

TEST(Session, FetchesTargetXmlInPiecesAndItsIncludes) {
  const std::string core = "<feature name=\"c\"><reg name=\"rip\" bitsize=\"64\"/></feature>";
  ScriptedPeer qemu{
      {"qSupported", "PacketSize=1000;qXfer:features:read+"},
      {"qXfer:features:read:target.xml:0,800", "m<target><xi:include "},
      {"qXfer:features:read:target.xml:14,800", "lhref=\"a-b.xml\"/></target>"},
      {"qXfer:features:read:a-b.xml:0,800", "l" + core},
      {"qfThreadInfo", "m01,02"},
      {"qsThreadInfo", "l"},
  };
  Session session(qemu);
  ASSERT_TRUE(session.handshake());
  EXPECT_NE(session.target().find("rip"), nullptr);
  EXPECT_EQ(session.threads().size(), 2u);
}

TEST(Session, PutsNoStrangeAnnexNameOnTheWire) {
  ScriptedPeer qemu{{"qSupported", "PacketSize=1000;qXfer:features:read+"},
                    {"qXfer:features:read:target.xml:0,800",
                     "l<target><xi:include href=\"x:0,1;vKill\"/></target>"}};
  EXPECT_EQ(Session(qemu).handshake().error().code, Errc::kProtocol);
}

TEST(Session, BoundsTheVcpus) {
  std::string many = "m01";
  for (int i = 0; i < 5000; ++i) many += ",01";
  std::vector<Turn> turns = handshake_turns();
  turns.erase(turns.begin() + 2, turns.end());
  turns.emplace_back("qfThreadInfo", many);
  ScriptedPeer qemu(turns);
  EXPECT_EQ(Session(qemu).handshake().error().code, Errc::kProtocol);
}

// --- Registers

struct Opened {
  explicit Opened(std::initializer_list<Turn> turns, std::vector<std::string> threads = {"01"})
      : qemu(after_handshake(turns, std::move(threads))), session(qemu) {
    EXPECT_TRUE(session.handshake());
    writes_before = qemu.writes();
  }
  [[nodiscard]] std::size_t writes() const { return qemu.writes() - writes_before; }

  ScriptedPeer qemu;
  Session session;
  std::size_t writes_before = 0;
};

TEST(Session, SelectsAVcpuOnceAndInTheSameWrite) {
  Opened s({{"Hg01", "OK"}, {"g", kG}, {"g", kG}});
  const auto g = s.session.registers(kFirst);
  ASSERT_TRUE(g);
  EXPECT_EQ(*s.session.target().value(*g, *s.session.target().find("rip")), 0x2000u);
  EXPECT_TRUE(s.session.registers(kFirst));
  EXPECT_EQ(s.writes(), 2u);
}

TEST(Session, ReadsTheRegistersOfAllVcpusInOneWrite) {
  Opened s({{"Hg01", "OK"}, {"g", kG}, {"Hg02", "OK"}, {"g", kG}}, {"01", "02"});
  const auto all = s.session.registers_of(s.session.threads());
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 2u);
  EXPECT_EQ(s.writes(), 1u);
}

TEST(Session, RefusesARegisterReplyThatMakesNoSense) {
  for (const char* reply : {"E22", "", "012", "zz", "OK"}) {
    Opened s({{"Hg01", "OK"}, {"g", reply}});
    EXPECT_FALSE(s.session.registers(kFirst)) << reply;
  }
}

TEST(Session, RefusesAReplyToGThatHasShrunk) {
  Opened s({{"Hg01", "OK"}, {"g", kG}, {"g", "0100"}});
  ASSERT_TRUE(s.session.registers(kFirst));
  EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kProtocol);
}

TEST(Session, SaysWhichRegisterAShortReplyToGLeavesOut) {
  Opened s({{"Hg01", "OK"}, {"g", "0100000000000000"}});
  const auto g = s.session.registers(kFirst);
  ASSERT_TRUE(g);
  const auto rip = s.session.target().value(*g, *s.session.target().find("rip"));
  EXPECT_EQ(rip.error().code, Errc::kUnsupported);
}

TEST(Session, ReadsAndWritesOneRegisterByItsNumber) {
  Opened s({{"Hg01", "OK"}, {"p1a", "efbe000000000000"}, {"P1a=efbe", "OK"}});
  const auto value = s.session.read_register(kFirst, 0x1a);
  ASSERT_TRUE(value);
  EXPECT_EQ(value->size(), 8u);
  EXPECT_TRUE(s.session.write_register(kFirst, 0x1a, std::span(*value).first(2)));
}

TEST(Session, ReportsARegisterThatTheStubDoesNotKnow) {
  Opened s({{"Hg01", "OK"}, {"p1ff", ""}, {"P1ff=", "E22"}});
  EXPECT_EQ(s.session.read_register(kFirst, 0x1ff).error().code, Errc::kUnsupported);
  EXPECT_EQ(s.session.write_register(kFirst, 0x1ff, {}).error().code, Errc::kUnsupported);
}

TEST(Session, SelectsAgainAfterASelectionWasRefused) {
  Opened s({{"Hg01", "E22"},
            {"g", kG},
            {"qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4"},
            {"Hg01", "OK"},
            {"g", kG}});
  EXPECT_FALSE(s.session.registers(kFirst));
  EXPECT_TRUE(s.session.registers(kFirst));
}

// --- Exchanges cut short

TEST(Session, FindsItsPlaceAgainAfterASignal) {
  Opened s({{"Hg01", "OK", Reply::fails(Errc::kInterrupted)},
            {"g", kG},
            {"qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4"},
            {"Hg01", "OK"},
            {"p0", "0200000000000000"}});
  EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kInterrupted);
  EXPECT_EQ(s.session.read_register(kFirst, 0)->size(), 8u);
}

TEST(Session, FindsItsPlaceAgainWhenTheGuestWasResumedBehindItsBack) {
  // The '$' of the first packet stops the guest, and is lost with it. [facts/qemu.md 3.1]
  Opened s({{"qRcmd,78"},
            {"qqemu.sstepbits"},
            {"qqemu.sstepbits", "T02thread:01;", "ENABLE=1"},
            {"Hg01", "OK"},
            {"g", kG}});
  EXPECT_EQ(s.session.monitor("x").error().code, Errc::kTimeout);
  EXPECT_TRUE(s.session.registers(kFirst));
}

TEST(Session, SaysWhenTheStubAnswersNoMore) {
  Opened s({{"qRcmd,78"}, {"qqemu.sstepbits"}, {"qqemu.sstepbits"}});
  EXPECT_EQ(s.session.monitor("x").error().code, Errc::kTimeout);
  EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kTimeout);
}

TEST(Session, ReportsGarbageInPlaceOfAReply) {
  for (const Reply& reply : {Reply::raw("garbage"), Reply::raw("$OK#00"), Reply::raw("-")}) {
    Opened s({{"Hg01", {reply}}, {"g", kG}});
    EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kProtocol) << reply.bytes;
  }
}

TEST(Session, ReportsAFrameWithoutEnd) {
  Opened s({{"Hg01", Reply::raw("$" + std::string(2 * FrameDecoder::kMaxFrame, '0'))}, {"g", kG}});
  EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kProtocol);
}

TEST(Session, ReportsAFloodOfAcks) {
  Opened s({{"Hg01", Reply::raw(std::string(100000, '+'))}, {"g", kG}});
  EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kProtocol);
}

TEST(Session, ReportsThatQemuIsEnding) {
  Opened s({{"Hg01", "W00"}, {"g"}});
  EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kDisconnected);
}

// --- HMP

TEST(Session, CollectsTheOutputOfAMonitorCommand) {
  Opened s({{"qRcmd,696e666f", "O4865", "O6c6c6f0a", "OK"}});
  EXPECT_EQ(*s.session.monitor("info"), "Hello\n");
}

TEST(Session, RefusesMonitorOutputThatMakesNoSense) {
  for (const char* reply : {"", "E22", "Oz", "O123", "4865"}) {
    Opened s({{"qRcmd,78", reply}});
    EXPECT_FALSE(s.session.monitor("x")) << reply;
  }
}

TEST(Session, SendsNoMonitorCommandThatWouldNotFit) {
  Opened s({});
  EXPECT_EQ(s.session.monitor(std::string(5000, 'x')).error().code, Errc::kUsage);
}

TEST(Session, CountsWhatGoesOverTheWire) {
  Opened s({{"Hg01", "OK"}, {"g", kG}});
  const Session::Stats before = s.session.stats();
  ASSERT_TRUE(s.session.registers(kFirst));
  const Session::Stats& after = s.session.stats();
  EXPECT_EQ(after.packets_sent - before.packets_sent, 2u);
  EXPECT_EQ(after.bytes_sent - before.bytes_sent, std::string("$Hg01#e0$g#67").size());
  EXPECT_EQ(after.bytes_received - before.bytes_received,
            std::string("+$OK#9a+$#00").size() + std::string(kG).size());
}

}  // namespace
}  // namespace swat::gdbproto
