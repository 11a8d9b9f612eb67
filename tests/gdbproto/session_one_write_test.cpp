// What goes out together with a resume, in one write: registers, memory, points, emulated writes.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "tests/gdbproto/opened.hpp"

namespace swat::gdbproto {
namespace {

using namespace std::chrono_literals;

TEST(SessionOneWrite, ReadsAndResumesInOneWrite) {
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

TEST(SessionOneWrite, KeepsTheRegistersWhenAReadIsRefused) {
  Opened s({{"Qqemu.PhyMemMode:1", "OK"}, {"m1000,1", "E14"}, {"Hg01", "OK"}, {"g", kG}, {"c"}});
  std::array<std::byte, 1> byte{};
  const PhysicalMemory::Piece piece{Pa{0x1000}, byte};
  const auto got = s.session.read_and_resume(kFirst, {&piece, 1});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->memory.error().code, Errc::kFault);
  EXPECT_EQ(got->registers.size(), 20u);
}

TEST(SessionOneWrite, SendsNothingOfWhatDoesNotFitOneWrite) {
  Opened s({});
  std::vector<std::byte> big(s.session.packet_size());
  const PhysicalMemory::Piece piece{Pa{0x1000}, big};
  EXPECT_EQ(s.session.read_and_resume(kFirst, {&piece, 1}).error().code, Errc::kUsage);
  const std::vector<PhysicalMemory::Piece> many(1000, {Pa{0x1000}, std::span(big).first(1)});
  EXPECT_EQ(s.session.read_and_resume(kFirst, many).error().code, Errc::kUsage);
  EXPECT_FALSE(s.session.running());
  EXPECT_EQ(s.writes(), 0u);
}

TEST(SessionOneWrite, KnowsWhichVcpuQemuSelectedAtATrap) {
  Opened s({{"c", "T05thread:02;"}, {"g", kG}, {"c2001"}}, {"01", "02"});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.registers(kSecond));
  EXPECT_TRUE(s.session.resume_at(kSecond, Va{0x2001}));
}

TEST(SessionOneWrite, SelectsAgainAfterAnInterrupt) {
  Opened s({{"c"}, {"\x03", "T02thread:02;"}, {"Hg02", "OK"}, {"g", kG}}, {"01", "02"});
  ASSERT_TRUE(s.session.resume());
  ASSERT_TRUE(s.session.interrupt());
  ASSERT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.registers(kSecond));
}

TEST(SessionOneWrite, TakesTheRegistersAndResumesInOneWrite) {
  Opened s({{"Hg01", "OK"}, {"g", kG}, {"c", "T05thread:01;"}, {"g", kG}, {"c"}});
  EXPECT_TRUE(s.session.registers_and_resume(kFirst));
  EXPECT_TRUE(s.session.running());
  ASSERT_TRUE(s.session.wait_stop(1000ms));
  EXPECT_TRUE(s.session.registers_and_resume(kFirst));
  EXPECT_EQ(s.writes(), 2u);
}

TEST(SessionOneWrite, FindsTheStopThatCameTogetherWithTheRegisters) {
  const std::string all = "+" + wire_packet(kG) + "+" + wire_packet("T05thread:01;");
  Opened s({{"Hg01", "OK"}, {"g", Reply::raw(all)}, {"c"}});
  ASSERT_TRUE(s.session.registers_and_resume(kFirst));
  EXPECT_TRUE(s.session.wait_stop(0ms));
}

TEST(SessionOneWrite, TakesTheRegistersOfAllVcpusAndResumesInOneWrite) {
  Opened s({{"Hg01", "OK"}, {"g", kG}, {"Hg02", "OK"}, {"g", kG}, {"c"}}, {"01", "02"});
  EXPECT_EQ(s.session.registers_of_and_resume(s.session.threads())->size(), 2u);
  EXPECT_EQ(s.writes(), 1u);
}

constexpr Point kOld{PointKind::kReadWatch, Va{0x1000}, 8};
constexpr Point kNew{PointKind::kReadWatch, Va{0x2000}, 8};

TEST(SessionOneWrite, ChangesPointsInTheWriteThatResumes) {
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

TEST(SessionOneWrite, SaysWhenAChangeWasRefusedAndTheGuestRunsAllTheSame) {
  Opened s({{"z3,1000,8", "E22"},
            {"Z3,2000,8", "OK"},
            {"Hg01", "OK"},
            {"g", kG},
            {"c", "T05thread:01;"}});
  EXPECT_FALSE(s.session.registers_and_resume(kFirst, {kOld, kNew}));
  EXPECT_TRUE(s.session.running());
  EXPECT_TRUE(s.session.wait_stop(1000ms));
}

TEST(SessionOneWrite, ChangesPointsOfAGuestThatStaysStopped) {
  Opened s({{"z3,1000,8", "OK"}, {"Z3,2000,8", "E22"}});
  EXPECT_TRUE(s.session.change({}));
  EXPECT_EQ(s.writes(), 0u);
  EXPECT_FALSE(s.session.change({kOld, kNew}));
  EXPECT_EQ(s.writes(), 1u);
  EXPECT_FALSE(s.session.running());
}

TEST(SessionOneWrite, EmulatesAndSkipsInOneWrite) {
  Opened s({{"Hg01", "OK"}, {"P0=aa", "OK"}, {"P1=bb", "OK"}, {"Hc01", "OK"}, {"c2004"}});
  const std::array a{std::byte{0xaa}};
  const std::array b{std::byte{0xbb}};
  const std::array<RegisterWrite, 2> writes{{{0, a}, {1, b}}};
  EXPECT_TRUE(s.session.write_registers_and_resume_at(kFirst, writes, Va{0x2004}));
  EXPECT_EQ(s.writes(), 1u);
}

TEST(SessionOneWrite, SaysWhenAWriteBeforeTheResumeWasRefused) {
  Opened s({{"Hg01", "OK"}, {"P0=aa", "E22"}, {"Hc01", "OK"}, {"c2004", "T05thread:01;"}});
  const std::array a{std::byte{0xaa}};
  const std::array<RegisterWrite, 1> writes{{{0, a}}};
  EXPECT_FALSE(s.session.write_registers_and_resume_at(kFirst, writes, Va{0x2004}));
  EXPECT_TRUE(s.session.running());
  EXPECT_TRUE(s.session.wait_stop(1000ms));  // past the OK that is still owed
}

}  // namespace
}  // namespace swat::gdbproto
