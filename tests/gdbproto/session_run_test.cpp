#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "tests/gdbproto/opened.hpp"

namespace swat::gdbproto {
namespace {

using namespace std::chrono_literals;

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

// QEMU 7.2 tells of the stop that the '$' makes, 11.1 does not.
TEST(SessionRun, EndsTheStepsThatADeadClientHasLeft) {
  for (const Turn& stop : {Turn{"$", "T02thread:01;"}, Turn{"$"}}) {
    Opened s({{"qqemu.sstep", "0x7"},
              {"Qqemu.sstep=0", "OK"},
              {"vCont;s"},
              stop,
              {"Qqemu.sstep=7", "OK"},
              {"D", "OK"}},
             {"01", "02"});
    EXPECT_TRUE(s.session.end_steps());
    EXPECT_FALSE(s.session.running());
    EXPECT_TRUE(s.session.detach(false));
  }
}

TEST(SessionRun, HasNoStepsToEndOnOneVcpu) {
  Opened s({});
  EXPECT_TRUE(s.session.end_steps());
  EXPECT_EQ(s.writes(), 0u);
}

TEST(SessionRun, GivesNoFlagsBackThatAreNone) {
  for (const char* flags : {"", "E01", "7", "0x", "0x7;D", "0x77777"}) {
    Opened s({{"qqemu.sstep", flags}}, {"01", "02"});
    EXPECT_FALSE(s.session.end_steps()) << flags;
  }
}

TEST(SessionRun, SaysWhenStepsCannotBeEnded) {
  Opened refused({{"qqemu.sstep", "0x7"}, {"Qqemu.sstep=0", "E22"}}, {"01", "02"});
  EXPECT_FALSE(refused.session.end_steps());
  Opened at_last({{"qqemu.sstep", "0x7"},
                  {"Qqemu.sstep=0", "OK"},
                  {"vCont;s"},
                  {"$"},
                  {"Qqemu.sstep=7", "E22"}},
                 {"01", "02"});
  EXPECT_FALSE(at_last.session.end_steps());
}

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

// Else QEMU goes on taking the second page for watched, and an old hit stops the guest there.
TEST(SessionRun, HasEveryPageForgottenThatWasWatchedBeforeItDetaches) {
  const Point watch{PointKind::kReadWatch, Va{0x1ff8}, 16};
  Opened s({{"Z3,1ff8,10", "OK"},
            {"c", "T05thread:01;rwatch:1ff8;"},
            {"Z2,0,20000", "OK"},
            {"z2,0,20000", "OK"},
            {"D", "OK"}});
  ASSERT_TRUE(s.session.insert(watch));
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.detach(false));
}

TEST(SessionRun, DetachesFromAStubThatWatchesNoSuchRange) {
  Opened s({{"Z2,0,20000", "E22"}, {"z2,0,20000", "E22"}, {"D", "OK"}});
  EXPECT_TRUE(s.session.forget_watched_pages());
  EXPECT_TRUE(s.session.detach(false));
}

TEST(SessionRun, SendsNoDetachToAStubThatHasGoneSilent) {
  Opened s({{"Z3,1000,8", "OK"}, {"Z2,0,20000"}, {"z2,0,20000"}});
  ASSERT_TRUE(s.session.insert({PointKind::kReadWatch, Va{0x1000}, 8}));
  EXPECT_FALSE(s.session.detach(false));
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
    "qqemu.sstep",
    "Qqemu.sstep=",
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
    "vCont;s",
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
            {"qqemu.sstep", "0x7"},
            {"Qqemu.sstep=0", "OK"},
            {"vCont;s"},
            {"$"},
            {"Qqemu.sstep=7", "OK"},
            {"g", kG},
            {"c"},
            {"\x03", "T02thread:01;"},
            {"Z2,0,20000", "OK"},
            {"z2,0,20000", "OK"},
            {"D", "OK"},
            {"$"}},
           {"01", "02"});
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
  EXPECT_TRUE(s.session.end_steps());
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
