#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "gdbproto/session.hpp"
#include "tests/gdbproto/scripted_peer.hpp"

namespace swat::gdbproto {
namespace {

using namespace std::chrono_literals;

constexpr ThreadId kFirst{std::nullopt, 1};
constexpr ThreadId kSecond{std::nullopt, 2};
constexpr const char* kG = "0100000000000000002000000000000046020000";
constexpr const char* kSync = "qqemu.sstepbits";
constexpr const char* kSynced = "ENABLE=1,NOIRQ=2,NOTIMER=4";

struct Opened {
  explicit Opened(std::initializer_list<Turn> turns, std::vector<std::string> threads = {"01"})
      : qemu(after_handshake(turns, std::move(threads))), session(qemu) {
    EXPECT_TRUE(session.handshake());
    writes_before = qemu.writes();
    waits_before = qemu.waited().size();
  }
  [[nodiscard]] std::size_t writes() const { return qemu.writes() - writes_before; }

  ScriptedPeer qemu;
  Session session;
  std::size_t writes_before = 0;
  std::size_t waits_before = 0;
};

TEST(SessionRun, ResumesAndWaitsForTheStop) {
  Opened s({{"c", "T05thread:01;watch:1000;"}});
  ASSERT_TRUE(s.session.resume());
  EXPECT_TRUE(s.session.running());
  const auto stop = s.session.wait_stop(1000ms);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->watch, Va{0x1000});
  EXPECT_FALSE(s.session.running());
  EXPECT_EQ(s.session.stats().stops, 1u);
}

// --- Memory, registers and the resume in one write

TEST(SessionRun, ReadsAndResumesInOneWrite) {
  Opened s({{"Qqemu.PhyMemMode:1", "OK"},
            {"m1000,2", "0102"},
            {"m2000,1", "03"},
            {"Hg01", "OK"},
            {"g", kG},
            {"c", "T05thread:01;watch:1000;"}});
  std::array<std::byte, 3> bytes{};
  const std::array<PhysicalMemory::Piece, 2> pieces = {
      {{Pa{0x1000}, std::span(bytes).first(2)}, {Pa{0x2000}, std::span(bytes).last(1)}}};
  const auto got = s.session.read_and_resume(kFirst, pieces);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->memory);
  EXPECT_EQ(got->registers.size(), 20u);
  EXPECT_EQ(bytes[2], std::byte{3});
  EXPECT_EQ(s.writes(), 1u);
  EXPECT_TRUE(s.session.running());
  EXPECT_TRUE(s.session.wait_stop(1000ms));
}

TEST(SessionRun, KeepsTheRegistersWhenAReadIsRefused) {
  Opened s({{"Qqemu.PhyMemMode:1", "OK"}, {"m1000,1", "E14"}, {"Hg01", "OK"}, {"g", kG}, {"c"}});
  std::array<std::byte, 1> byte{};
  const PhysicalMemory::Piece piece{Pa{0x1000}, byte};
  const auto got = s.session.read_and_resume(kFirst, {&piece, 1});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->memory.error().code, Errc::kFault);
  EXPECT_EQ(got->registers.size(), 20u);
}

TEST(SessionRun, SendsNothingOfWhatDoesNotFitOneWrite) {
  Opened s({});
  std::vector<std::byte> big(s.session.packet_size());
  const PhysicalMemory::Piece piece{Pa{0x1000}, big};
  EXPECT_EQ(s.session.read_and_resume(kFirst, {&piece, 1}).error().code, Errc::kUsage);
  const std::vector<PhysicalMemory::Piece> many(1000, {Pa{0x1000}, std::span(big).first(1)});
  EXPECT_EQ(s.session.read_and_resume(kFirst, many).error().code, Errc::kUsage);
  EXPECT_FALSE(s.session.running());
  EXPECT_EQ(s.writes(), 0u);
}

TEST(SessionRun, KnowsWhichVcpuQemuSelectedAtATrap) {
  Opened s({{"c", "T05thread:02;"}, {"g", kG}, {"c2001"}}, {"01", "02"});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.registers(kSecond));
  EXPECT_TRUE(s.session.resume_at(kSecond, Va{0x2001}));
}

TEST(SessionRun, SelectsAgainAfterAnInterrupt) {
  Opened s({{"c"}, {"\x03", "T02thread:02;"}, {"Hg02", "OK"}, {"g", kG}}, {"01", "02"});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.interrupt());
  ASSERT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.registers(kSecond));
}

TEST(SessionRun, TakesTheRegistersAndResumesInOneWrite) {
  Opened s({{"Hg01", "OK"}, {"g", kG}, {"c", "T05thread:01;"}, {"g", kG}, {"c"}});
  EXPECT_TRUE(s.session.registers_and_resume(kFirst));
  EXPECT_TRUE(s.session.running());
  ASSERT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.registers_and_resume(kFirst));
  EXPECT_EQ(s.writes(), 2u);
}

TEST(SessionRun, FindsTheStopThatCameTogetherWithTheRegisters) {
  const std::string all = "+" + wire_packet(kG) + "+" + wire_packet("T05thread:01;");
  Opened s({{"Hg01", "OK"}, {"g", Reply::raw(all)}, {"c"}});
  ASSERT_TRUE(s.session.registers_and_resume(kFirst));
  EXPECT_TRUE(s.session.wait_stop(0ms));
}

TEST(SessionRun, TakesTheRegistersOfAllVcpusAndResumesInOneWrite) {
  Opened s({{"Hg01", "OK"}, {"g", kG}, {"Hg02", "OK"}, {"g", kG}, {"c"}}, {"01", "02"});
  EXPECT_EQ(s.session.registers_of_and_resume(s.session.threads())->size(), 2u);
  EXPECT_EQ(s.writes(), 1u);
}

constexpr Point kOld{PointKind::kReadWatch, Va{0x1000}, 8};
constexpr Point kNew{PointKind::kReadWatch, Va{0x2000}, 8};

TEST(SessionRun, ChangesPointsInTheWriteThatResumes) {
  Opened s({{"z3,1000,8", "OK"},
            {"Z3,2000,8", "OK"},
            {"Hg01", "OK"},
            {"g", kG},
            {"c", "T05thread:01;"},
            {"z3,2000,8", "OK"},
            {"c", "T05thread:01;"}});
  EXPECT_TRUE(s.session.registers_and_resume(kFirst, {kOld, kNew}));
  EXPECT_EQ(s.writes(), 1u);
  ASSERT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.resume({kNew, {}}));
  EXPECT_EQ(s.writes(), 2u);
  EXPECT_TRUE(s.session.wait_stop(1000ms));
}

TEST(SessionRun, SaysWhenAChangeWasRefusedAndTheGuestRunsAllTheSame) {
  Opened s({{"z3,1000,8", "E22"},
            {"Z3,2000,8", "OK"},
            {"Hg01", "OK"},
            {"g", kG},
            {"c", "T05thread:01;"}});
  EXPECT_FALSE(s.session.registers_and_resume(kFirst, {kOld, kNew}));
  EXPECT_TRUE(s.session.running());
  EXPECT_TRUE(s.session.wait_stop(1000ms));
}

TEST(SessionRun, ChangesPointsOfAGuestThatStaysStopped) {
  Opened s({{"z3,1000,8", "OK"}, {"Z3,2000,8", "E22"}});
  EXPECT_TRUE(s.session.change({}));
  EXPECT_EQ(s.writes(), 0u);
  EXPECT_FALSE(s.session.change({kOld, kNew}));
  EXPECT_EQ(s.writes(), 1u);
  EXPECT_FALSE(s.session.running());
}

TEST(SessionRun, EmulatesAndSkipsInOneWrite) {
  Opened s({{"Hg01", "OK"}, {"P0=aa", "OK"}, {"P1=bb", "OK"}, {"Hc01", "OK"}, {"c2004"}});
  const std::array a{std::byte{0xaa}};
  const std::array b{std::byte{0xbb}};
  const std::array<RegisterWrite, 2> writes{{{0, a}, {1, b}}};
  EXPECT_TRUE(s.session.write_registers_and_resume_at(kFirst, writes, Va{0x2004}));
  EXPECT_EQ(s.writes(), 1u);
}

TEST(SessionRun, SaysWhenAWriteBeforeTheResumeWasRefused) {
  Opened s({{"Hg01", "OK"}, {"P0=aa", "E22"}, {"Hc01", "OK"}, {"c2004", "T05thread:01;"}});
  const std::array a{std::byte{0xaa}};
  const std::array<RegisterWrite, 1> writes{{{0, a}}};
  EXPECT_FALSE(s.session.write_registers_and_resume_at(kFirst, writes, Va{0x2004}));
  EXPECT_TRUE(s.session.running());
  EXPECT_TRUE(s.session.wait_stop(1000ms));  // past the OK that is still owed
}

TEST(SessionRun, StepsOneVcpuAndLeavesTheOthersStopped) {
  Opened s({{"vCont;s:02", "T05thread:02;"}}, {"01", "02"});
  ASSERT_TRUE(s.session.step(kSecond));
  EXPECT_EQ(s.session.wait_stop(1000ms)->thread, kSecond);
}

TEST(SessionRun, SaysWhenTheResumeItselfWasRefused) {
  for (const char* reply : {"", "E22"}) {
    Opened s({{"vCont;s:01", reply}});
    ASSERT_TRUE(s.session.step(kFirst));
    EXPECT_EQ(s.session.wait_stop(1000ms).error().code, Errc::kUnsupported);
    EXPECT_FALSE(s.session.running());
  }
}

TEST(SessionRun, SendsNothingOutOfTurn) {
  Opened s({{"c"}});
  EXPECT_EQ(s.session.interrupt().error().code, Errc::kUsage);
  EXPECT_EQ(s.session.wait_stop(0ms).error().code, Errc::kUsage);
  ASSERT_TRUE(s.session.resume());
  std::array<std::byte, 1> byte{};
  EXPECT_EQ(s.session.resume().error().code, Errc::kUsage);
  EXPECT_EQ(s.session.resume_at(kFirst, Va{0}).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.step(kFirst).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.read_register(kFirst, 0).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.write_register(kFirst, 0, byte).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.read(kFirst, Va{0}, byte).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.write(kFirst, Va{0}, byte).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.read_physical(Pa{0}, byte).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.insert(Point{PointKind::kReadWatch, Va{0}, 1}).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.remove(Point{PointKind::kReadWatch, Va{0}, 1}).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.monitor("x").error().code, Errc::kUsage);
  EXPECT_EQ(s.writes(), 1u);
}

// --- wait_stop

TEST(SessionRun, LeavesTheGuestRunningWhenTheWaitTimesOut) {
  Opened s({{"c"}});
  ASSERT_TRUE(s.session.resume());
  EXPECT_EQ(s.session.wait_stop(50ms).error().code, Errc::kTimeout);
  EXPECT_TRUE(s.session.running());
  EXPECT_EQ(s.qemu.waited().back(), 50ms);
}

TEST(SessionRun, SurvivesStrayAcksAndConsoleOutputWhileItWaits) {
  Opened s({{"c", "O48690a", Reply::raw("+++"), "O48690a", "T05thread:01;"}});
  ASSERT_TRUE(s.session.resume());
  EXPECT_TRUE(s.session.wait_stop(1000ms));
}

TEST(SessionRun, GivesTheCallerItsTurnUnderAFloodOfConsoleOutput) {
  Opened s({{"c"}});
  for (int i = 0; i < 1000; ++i) s.qemu.say("O41");
  ASSERT_TRUE(s.session.resume());
  EXPECT_EQ(s.session.wait_stop(1000ms).error().code, Errc::kTimeout);
}

TEST(SessionRun, EndsTheWaitOnASignalOrADisconnect) {
  for (const Errc code : {Errc::kInterrupted, Errc::kDisconnected}) {
    Opened s({{"c", Reply::fails(code)}});
    ASSERT_TRUE(s.session.resume());
    EXPECT_EQ(s.session.wait_stop(1000ms).error().code, code);
  }
}

TEST(SessionRun, ReportsAPacketThatIsNoStop) {
  Opened s({{"c", "hello"}});
  ASSERT_TRUE(s.session.resume());
  EXPECT_EQ(s.session.wait_stop(1000ms).error().code, Errc::kProtocol);
}

TEST(SessionRun, ReportsThatQemuIsEndingWhileItWaits) {
  Opened s({{"c", "W00"}});
  ASSERT_TRUE(s.session.resume());
  EXPECT_TRUE(s.session.wait_stop(1000ms)->exited);
}

TEST(SessionRun, FindsTheStopAfterTheLateRepliesOfAnExchangeCutShort) {
  Opened s({{"Hg01", Reply::fails(Errc::kInterrupted), "OK"}, {"g", kG}, {"c", "T05thread:01;"}});
  EXPECT_EQ(s.session.registers_and_resume(kFirst).error().code, Errc::kInterrupted);
  ASSERT_TRUE(s.session.running());
  EXPECT_TRUE(s.session.wait_stop(1000ms));
}

// --- interrupt

TEST(SessionRun, InterruptsWithOneByte) {
  Opened s({{"c"}, {"\x03", "T02thread:01;"}});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.interrupt());
  ASSERT_TRUE(s.session.interrupt());  // once is enough
  EXPECT_EQ(s.session.wait_stop(1000ms)->signal, 2);
}

TEST(SessionRun, TakesATrapThatWonTheRaceAgainstTheInterrupt) {
  Opened s({{"c", "T05thread:01;"}, {"\x03", "T02thread:01;"}, {"m0,1", "ab"}});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.interrupt());
  EXPECT_EQ(s.session.wait_stop(1000ms)->signal, 5);
  // QEMU then drops the 0x03; should a stub answer it after all, what follows is not confused.
  std::array<std::byte, 1> byte{};
  EXPECT_TRUE(s.session.read(kFirst, Va{0}, byte));
  EXPECT_EQ(byte[0], std::byte{0xab});
}

TEST(SessionRun, AcksFirstWhenTheInterruptWasDropped) {
  Opened s({{"c"}, {"\x03"}, {"+"}, {"\x03", "T02thread:01;"}});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.interrupt());
  EXPECT_TRUE(s.session.wait_stop(5000ms));
  EXPECT_EQ(s.qemu.waited().back(), 1000ms);
}

TEST(SessionRun, AsksWhenTheGuestHasStoppedWithoutAWord) {
  Opened s({{"c"}, {"\x03"}, {"+"}, {"\x03"}, {"qC"}, {"qC", "QC01"}, {"Hg01", "OK"}, {"g", kG}});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.interrupt());
  const auto stop = s.session.wait_stop(5000ms);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->signal, 2);
  EXPECT_EQ(stop->thread, kFirst);
  EXPECT_TRUE(s.session.registers(kFirst));
}

TEST(SessionRun, EscalatesAcrossShortWaits) {
  Opened s({{"c"}, {"\x03"}, {"+"}, {"\x03", "T02thread:01;"}});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.interrupt());
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(s.session.wait_stop(100ms));
  EXPECT_TRUE(s.session.wait_stop(100ms));
}

TEST(SessionRun, GivesUpAnInterruptThatNothingAnswers) {
  Opened s({{"c"}, {"\x03"}, {"+"}, {"\x03"}, {"qC"}, {"qC"}});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.interrupt());
  EXPECT_EQ(s.session.wait_stop(60000ms).error().code, Errc::kTimeout);
}

// --- detach

TEST(SessionRun, DetachesAndLetsTheGuestRun) {
  Opened s({{"D", "OK"}});
  EXPECT_TRUE(s.session.detach(false));
  EXPECT_EQ(s.writes(), 1u);
}

TEST(SessionRun, LeavesTheGuestPausedByAByteAfterTheDetach) {
  Opened s({{"D", "OK"}, {"$"}});
  EXPECT_TRUE(s.session.detach(true));
  EXPECT_EQ(s.writes(), 1u);
}

TEST(SessionRun, NamesTheProcessToAMultiprocessStub) {
  Opened s({{"D;1", "OK"}}, {"p01.01", "p01.02"});
  EXPECT_TRUE(s.session.detach(false));
}

TEST(SessionRun, TurnsPhysicalModeOffBeforeItDetaches) {
  Opened s(
      {{"Qqemu.PhyMemMode:1", "OK"}, {"m0,1", "00"}, {"Qqemu.PhyMemMode:0", "OK"}, {"D", "OK"}});
  std::array<std::byte, 1> byte;
  ASSERT_TRUE(s.session.read_physical(Pa{0}, byte));
  EXPECT_TRUE(s.session.detach(false));
}

TEST(SessionRun, StopsARunningGuestBeforeItDetaches) {
  Opened s({{"c"}, {"\x03", "T02thread:01;"}, {"D", "OK"}});
  ASSERT_TRUE(s.session.resume());
  EXPECT_TRUE(s.session.detach(false));
}

TEST(SessionRun, DetachesAfterAnExchangeCutShort) {
  Opened s(
      {{"Hg01", Reply::fails(Errc::kInterrupted), "OK"}, {"g", kG}, {kSync, kSynced}, {"D", "OK"}});
  EXPECT_FALSE(s.session.registers(kFirst));
  EXPECT_TRUE(s.session.detach(false));
}

TEST(SessionRun, SendsNoDetachToAGuestThatItCannotStop) {
  Opened s({{"c"}, {"\x03"}, {"+"}, {"\x03"}, {"qC"}, {"qC"}});
  ASSERT_TRUE(s.session.resume());
  EXPECT_EQ(s.session.detach(false).error().code, Errc::kTimeout);
}

TEST(SessionRun, SaysNothingAfterTheDetach) {
  Opened s({{"D", "E22"}});
  EXPECT_FALSE(s.session.detach(false));
  EXPECT_EQ(s.session.detach(false).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.registers(kFirst).error().code, Errc::kUsage);
  EXPECT_EQ(s.session.resume().error().code, Errc::kUsage);
}

// --- What is ever said

// Everything that a session can send, by its first characters; a new packet is a new row, after a
// look at what QEMU does with it (facts/qemu.md sections 1 and 3).
constexpr std::string_view kSaid[] = {
    "qSupported",
    "qXfer:features:read:",
    "qfThreadInfo",
    "qsThreadInfo",
    "qRcmd,",
    "qC",
    "qqemu.sstepbits",
    "Hg",
    "Hc",
    "g",
    "p",
    "P",
    "m",
    "M",
    "Z",
    "z",
    "c",
    "vCont;s:",
    "Qqemu.PhyMemMode:0",
    "Qqemu.PhyMemMode:1",
    "D",
    "\x03",
    "+",
    "$",
};

TEST(SessionRun, SaysOnlyWhatIsOnTheList) {
  Opened s({{"Hg01", "OK"},
            {"g", kG},
            {"p0", "00"},
            {"P0=00", "OK"},
            {"m0,1", "00"},
            {"Qqemu.PhyMemMode:1", "OK"},
            {"m0,1", "00"},
            {"Qqemu.PhyMemMode:0", "OK"},
            {"M0,1:00", "OK"},
            {"Z2,0,1", "OK"},
            {"z2,0,1", "OK"},
            {"qRcmd,78", "OK"},
            {"Hc01", "OK"},
            {"c1000"},
            {"\x03"},
            {"+"},
            {"\x03"},
            {"qC", "QC01"},
            {"vCont;s:01", "T05thread:01;"},
            {"g", kG},
            {"c"},
            {"\x03", "T02thread:01;"},
            {"D", "OK"},
            {"$"}});
  std::array<std::byte, 1> byte{};
  const Point point{PointKind::kWriteWatch, Va{0}, 1};
  EXPECT_TRUE(s.session.registers(kFirst));
  EXPECT_TRUE(s.session.read_register(kFirst, 0));
  EXPECT_TRUE(s.session.write_register(kFirst, 0, byte));
  EXPECT_TRUE(s.session.read(kFirst, Va{0}, byte));
  EXPECT_TRUE(s.session.read_physical(Pa{0}, byte));
  EXPECT_TRUE(s.session.write(kFirst, Va{0}, byte));
  EXPECT_TRUE(s.session.insert(point));
  EXPECT_TRUE(s.session.remove(point));
  EXPECT_TRUE(s.session.monitor("x"));
  EXPECT_TRUE(s.session.resume_at(kFirst, Va{0x1000}));
  EXPECT_TRUE(s.session.interrupt());
  EXPECT_TRUE(s.session.wait_stop(5000ms));
  EXPECT_TRUE(s.session.step(kFirst));
  EXPECT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.registers_and_resume(kFirst));
  EXPECT_TRUE(s.session.interrupt());
  EXPECT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.detach(true));
  for (const std::string& command : s.qemu.commands()) {
    EXPECT_TRUE(std::ranges::any_of(kSaid, [&](std::string_view said) {
      return command.starts_with(said);
    })) << command;
  }
}

TEST(SessionRun, EveryScriptCatchesWhatQemuMishandles) {
  for (const char* bad : {"?", "k", "vKill;1", "G00", "X0,0:", "R00", "bs", "bc", "!"}) {
    Rules rules;
    EXPECT_NONFATAL_FAILURE(rules.sent(bad), "QEMU mishandles");
  }
  Rules rules;
  rules.sent("D;1");
  EXPECT_NONFATAL_FAILURE(rules.sent("D"), "after D");
  EXPECT_NONFATAL_FAILURE(Rules().sent("p0"), "before target.xml");
  EXPECT_NONFATAL_FAILURE(Rules().sent("qSupported:multiprocess+"), "multiprocess");
  EXPECT_NONFATAL_FAILURE(Rules().written({"c", "g"}), "not the last");
}

}  // namespace
}  // namespace swat::gdbproto
