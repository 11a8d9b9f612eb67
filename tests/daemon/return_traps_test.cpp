#include "daemon/return_traps.hpp"

#include <gtest/gtest.h>

#include "fake_model.hpp"

namespace swat::daemon {
namespace {

using gdbproto::Point;
using gdbproto::PointKind;

constexpr os::ResultWord word_at(std::uint64_t address) { return {Va{address}, Va{address - 80}}; }
bool nobody(const os::Thread&) { return false; }
bool anybody(const os::Thread&) { return true; }

TEST(ReturnTraps, WatchReadsOfAThreadsWord) {
  ReturnTraps traps;
  const auto changes = traps.arm(word_at(0x1fa8), thread_of(1, 1), nobody);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->insert, (Point{PointKind::kReadWatch, Va{0x1fa8}, 8}));
  EXPECT_EQ(changes->remove, std::nullopt);
  ASSERT_NE(traps.find(Va{0x1fa8}), nullptr);
  EXPECT_EQ(traps.find(Va{0x1fa8})->owner.tid, 1u);
}

// The word behind it is read, too.
TEST(ReturnTraps, AreAsWideAsTheKernelsWords) {
  ReturnTraps traps;
  const os::ResultWord of_arm{Va{0x1fec}, Va{0x1fa8}, Va{0x1fb0}, Va{0x1fec}, 4};
  const Point expected{PointKind::kReadWatch, Va{0x1fec}, 4};
  const auto changes = traps.arm(of_arm, thread_of(1, 1), nobody);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->insert, expected);
  EXPECT_EQ(traps.clear(), std::vector{expected});
}

TEST(ReturnTraps, GrowWhereAWayBackReadsAnotherWord) {
  ReturnTraps traps;
  os::ResultWord word{Va{0x1fd4}, Va{0x1fbc}, {}, Va{0x1fec}, 4};
  ASSERT_TRUE(traps.arm(word, thread_of(1, 1), nobody));
  word.watched_bytes = 28;
  const auto changes = traps.arm(word, thread_of(1, 1), nobody);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->remove, (Point{PointKind::kReadWatch, Va{0x1fd4}, 4}));
  EXPECT_EQ(changes->insert, (Point{PointKind::kReadWatch, Va{0x1fd4}, 28}));
}

TEST(ReturnTraps, StayForTheCallsThatFollow) {
  ReturnTraps traps;
  ASSERT_TRUE(traps.arm(word_at(0x1fa8), thread_of(1, 1), nobody));
  const auto again = traps.arm(word_at(0x1fa8), thread_of(1, 1), nobody);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->insert, std::nullopt);
}

TEST(ReturnTraps, PassToTheThreadThatHasTheStackNow) {
  ReturnTraps traps;
  ASSERT_TRUE(traps.arm(word_at(0x1fa8), thread_of(1, 1), nobody));
  ASSERT_TRUE(traps.arm(word_at(0x1fa8), thread_of(2, 2), nobody));
  EXPECT_EQ(traps.find(Va{0x1fa8})->owner.tid, 2u);
  EXPECT_EQ(traps.size(), 1u);
}

TEST(ReturnTraps, GoWhenDisarmed) {
  ReturnTraps traps;
  ASSERT_TRUE(traps.arm(word_at(0x1fa8), thread_of(1, 1), nobody));
  EXPECT_EQ(traps.disarm(*traps.find(Va{0x1fa8})), (Point{PointKind::kReadWatch, Va{0x1fa8}, 8}));
  EXPECT_EQ(traps.find(Va{0x1fa8}), nullptr);
}

TEST(ReturnTraps, GoAllAtOnce) {
  ReturnTraps traps;
  ASSERT_TRUE(traps.arm(word_at(0x1fa8), thread_of(1, 1), nobody));
  ASSERT_TRUE(traps.arm(word_at(0x5fa8), thread_of(2, 2), nobody));
  EXPECT_EQ(traps.clear(), (std::vector<Point>{{PointKind::kReadWatch, Va{0x1fa8}, 8},
                                               {PointKind::kReadWatch, Va{0x5fa8}, 8}}));
  EXPECT_EQ(traps.size(), 0u);
}

TEST(ReturnTraps, GiveWayWhenThereAreTooMany) {
  ReturnTraps traps;
  for (unsigned i = 0; i < ReturnTraps::kMost; ++i) {
    ASSERT_TRUE(traps.arm(word_at(0x10000 + i * 0x4000), thread_of(i + 1, i + 1), nobody));
  }
  EXPECT_EQ(traps.arm(word_at(0x4000), thread_of(9999, 1), nobody).error().code,
            Errc::kUnsupported);
  EXPECT_EQ(traps.find(Va{0x4000}), nullptr);
  const auto changes = traps.arm(word_at(0x4000), thread_of(9999, 1), anybody);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->remove, (Point{PointKind::kReadWatch, Va{0x10000}, 8}));
  EXPECT_EQ(changes->insert, (Point{PointKind::kReadWatch, Va{0x4000}, 8}));
  EXPECT_EQ(traps.size(), ReturnTraps::kMost);
}

}  // namespace
}  // namespace swat::daemon
