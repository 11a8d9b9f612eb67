#include <gtest/gtest.h>

#include <array>

#include "gdbproto/session.hpp"
#include "tests/gdbproto/scripted_peer.hpp"

namespace swat::gdbproto {
namespace {

constexpr ThreadId kFirst{std::nullopt, 1};

// An open session that has already selected vCPU 1.
struct Selected {
  explicit Selected(std::initializer_list<Turn> turns) : qemu(handshake_turns()), session(qemu) {
    qemu.then({{"Hg01", "OK"}, {"m0,1", "00"}});
    qemu.then(turns);
    EXPECT_TRUE(session.handshake());
    std::array<std::byte, 1> one;
    EXPECT_TRUE(session.read(kFirst, Va{0}, one));
    writes_before = qemu.writes();
  }
  [[nodiscard]] std::size_t writes() const { return qemu.writes() - writes_before; }

  ScriptedPeer qemu;
  Session session;
  std::size_t writes_before = 0;
};

Result<> read(Session& session, std::uint64_t at, std::size_t size_bytes) {
  std::vector<std::byte> into(size_bytes);
  return session.read(kFirst, Va{at}, into);
}

TEST(SessionMemory, SplitsReadsAndAsksForAllPiecesInOneWrite) {
  Selected s({{"m1000,800", std::string(0x1000, '1')}, {"m1800,10", std::string(0x20, '2')}});
  std::vector<std::byte> into(0x810);
  ASSERT_TRUE(s.session.read(kFirst, Va{0x1000}, into));
  EXPECT_EQ(into[0x7ff], std::byte{0x11});
  EXPECT_EQ(into[0x800], std::byte{0x22});
  EXPECT_EQ(s.writes(), 1u);
}

TEST(SessionMemory, BoundsThePiecesAskedForAtOnce) {
  Selected s({});
  for (std::uint64_t at = 0; at < 100 * 0x800; at += 0x800) {
    std::string digits;
    char text[32];
    std::snprintf(text, sizeof(text), "m%llx,800", static_cast<unsigned long long>(at));
    s.qemu.then({{text, std::string(0x1000, 'a')}});
  }
  EXPECT_TRUE(read(s.session, 0, 100 * 0x800));
  EXPECT_EQ(s.writes(), 2u);
}

TEST(SessionMemory, NamesThePieceThatFaulted) {
  Selected s({{"m1000,800", std::string(0x1000, '0')}, {"m1800,10", "E14"}});
  const auto outcome = read(s.session, 0x1000, 0x810);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::kFault);
  EXPECT_EQ(outcome.error().guest, 0x1800u);
}

TEST(SessionMemory, NamesThePageThatFaultedWithinAPiece) {
  Selected s({{"mf00,800", "E14"}, {"mf00,1", "00"}, {"m1000,1", "E14"}});
  EXPECT_EQ(read(s.session, 0xf00, 0x800).error().guest, 0x1000u);
}

TEST(SessionMemory, GoesOnAfterAFault) {
  Selected s({{"m1000,8", "E14"}, {"m2000,2", "abcd"}});
  EXPECT_FALSE(read(s.session, 0x1000, 8));
  EXPECT_TRUE(read(s.session, 0x2000, 2));
}

TEST(SessionMemory, RefusesARepliedLengthThatIsNotTheOneAskedFor) {
  for (const char* reply : {"", "00", "0000", "00000000", "zzzzzz", "OK"}) {
    Selected s({{"m1000,3", reply}});
    EXPECT_FALSE(read(s.session, 0x1000, 3)) << reply;
  }
}

TEST(SessionMemory, SendsNothingForNothing) {
  Selected s({});
  EXPECT_TRUE(read(s.session, 0x1000, 0));
  EXPECT_TRUE(s.session.write(kFirst, Va{0x1000}, {}));
  EXPECT_TRUE(s.session.insert(std::span<const Point>{}));
  EXPECT_EQ(s.qemu.commands().back(), "m0,1");
}

TEST(SessionMemory, TurnsPhysicalModeOnOnceAndOffForTheNextVirtualRead) {
  Selected s({{"Qqemu.PhyMemMode:1", "OK"},
              {"m1000,1", "11"},
              {"m2000,1", "22"},
              {"Qqemu.PhyMemMode:0", "OK"},
              {"m3000,1", "33"}});
  std::array<std::byte, 1> into;
  EXPECT_TRUE(s.session.read_physical(Pa{0x1000}, into));
  EXPECT_TRUE(s.session.read_physical(Pa{0x2000}, into));
  EXPECT_TRUE(s.session.read(kFirst, Va{0x3000}, into));
  EXPECT_EQ(s.writes(), 3u);
}

TEST(SessionMemory, ReportsAStubWithoutPhysicalMode) {
  Selected s({{"Qqemu.PhyMemMode:1", ""}, {"m1000,1", "11"}});
  std::array<std::byte, 1> into;
  EXPECT_EQ(s.session.read_physical(Pa{0x1000}, into).error().code, Errc::kUnsupported);
}

TEST(SessionMemory, ReadsManyPhysicalPiecesInOneWrite) {
  Selected s({{"Qqemu.PhyMemMode:1", "OK"}, {"m1000,2", "0102"}, {"m9000,1", "03"}});
  std::array<std::byte, 2> first{};
  std::array<std::byte, 1> second{};
  const PhysicalMemory::Piece pieces[] = {{Pa{0x1000}, first}, {Pa{0x9000}, second}};
  const std::size_t before = s.qemu.writes();
  EXPECT_TRUE(s.session.read_physical(pieces));
  EXPECT_EQ(s.qemu.writes(), before + 1);
  EXPECT_EQ(first, (std::array{std::byte{1}, std::byte{2}}));
  EXPECT_EQ(second, std::array{std::byte{3}});
}

TEST(SessionMemory, NamesTheFirstPhysicalPieceThatIsRefused) {
  Selected s({{"Qqemu.PhyMemMode:1", "OK"},
              {"m1000,1", "01"},
              {"m2000,1", "E14"},
              {"m3000,1", "E14"},
              {"m1000,1", "05"}});
  std::array<std::byte, 1> into{};
  const PhysicalMemory::Piece pieces[] = {
      {Pa{0x1000}, into}, {Pa{0x2000}, into}, {Pa{0x3000}, into}};
  const auto read = s.session.read_physical(pieces);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kFault);
  EXPECT_EQ(read.error().guest, 0x2000u);
  EXPECT_TRUE(s.session.read_physical(Pa{0x1000}, into));  // every reply has been taken
  EXPECT_EQ(into[0], std::byte{5});
}

TEST(SessionMemory, ReadsAPhysicalPieceThatIsLargerThanAPacket) {
  Selected s({{"Qqemu.PhyMemMode:1", "OK"},
              {"m1000,800", std::string(0x1000, '0')},
              {"m1800,1", "07"},
              {"m9000,1", "08"}});
  std::vector<std::byte> large(0x801);
  std::array<std::byte, 1> small{};
  const PhysicalMemory::Piece pieces[] = {{Pa{0x1000}, large}, {Pa{0x9000}, small}};
  EXPECT_TRUE(s.session.read_physical(pieces));
  EXPECT_EQ(large.back(), std::byte{7});
  EXPECT_EQ(small[0], std::byte{8});
}

TEST(SessionMemory, SplitsWritesAtPageEndsSoThatTheErrorNamesThePage) {
  Selected s({{"M1ffe,2:aaaa", "OK"}, {"M2000,1:aa", "E14"}});
  const std::vector<std::byte> bytes(3, std::byte{0xaa});
  const auto outcome = s.session.write(kFirst, Va{0x1ffe}, bytes);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::kFault);
  EXPECT_EQ(outcome.error().guest, 0x2000u);
  EXPECT_EQ(s.writes(), 1u);
}

// --- Points

constexpr Point kBreak{PointKind::kSoftwareBreakpoint, Va{0xffffffff81000000}, 1};
constexpr Point kWatch{PointKind::kWriteWatch, Va{0x1000}, 0x20};

TEST(SessionMemory, SpellsEachKindOfPoint) {
  Selected s({{"Z0,ffffffff81000000,1", "OK"},
              {"Z1,5,1", "OK"},
              {"Z2,1000,20", "OK"},
              {"Z3,1000,8", "OK"},
              {"Z4,1000,8", "OK"},
              {"z2,1000,20", "OK"}});
  EXPECT_TRUE(s.session.insert(kBreak));
  EXPECT_TRUE(s.session.insert(Point{PointKind::kHardwareBreakpoint, Va{5}, 1}));
  EXPECT_TRUE(s.session.insert(kWatch));
  EXPECT_TRUE(s.session.insert(Point{PointKind::kReadWatch, Va{0x1000}, 8}));
  EXPECT_TRUE(s.session.insert(Point{PointKind::kAccessWatch, Va{0x1000}, 8}));
  EXPECT_TRUE(s.session.remove(kWatch));
}

TEST(SessionMemory, InsertsManyPointsInOneWriteAndChecksAllReplies) {
  Selected s({{"Z0,ffffffff81000000,1", "OK"}, {"Z2,1000,20", "OK"}});
  EXPECT_TRUE(s.session.insert(std::vector{kBreak, kWatch}));
  EXPECT_EQ(s.writes(), 1u);
}

TEST(SessionMemory, TakesThePointsOutAgainWhenOneIsRefused) {
  Selected s(
      {{"Z0,ffffffff81000000,1", "OK"}, {"Z2,1000,20", "E22"}, {"z0,ffffffff81000000,1", "OK"}});
  const auto outcome = s.session.insert(std::vector{kBreak, kWatch});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().guest, 0x1000u);
}

TEST(SessionMemory, TriesToRemoveAllPointsEvenWhenOneIsGone) {
  Selected s({{"z0,ffffffff81000000,1", "E22"}, {"z2,1000,20", "OK"}});
  EXPECT_FALSE(s.session.remove(std::vector{kBreak, kWatch}));
}

TEST(SessionMemory, ReportsAKindOfPointThatTheStubDoesNotKnow) {
  Selected s({{"Z3,1000,8", ""}});
  EXPECT_EQ(s.session.insert(Point{PointKind::kReadWatch, Va{0x1000}, 8}).error().code,
            Errc::kUnsupported);
}

}  // namespace
}  // namespace swat::gdbproto
