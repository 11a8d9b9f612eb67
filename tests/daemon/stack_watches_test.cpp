#include "daemon/stack_watches.hpp"

#include <gtest/gtest.h>

#include <set>

namespace swat::daemon {
namespace {

using gdbproto::Point;

Point read_of(Va word) { return {gdbproto::PointKind::kReadWatch, word, 8}; }

class StackWatchesTest : public testing::Test {
 protected:
  gdbproto::PointChanges call(Va word) {
    waiting.insert(word);
    return watches.watch(word, 8, needed);
  }
  gdbproto::PointChanges return_from(Va word) {
    waiting.erase(word);
    return watches.tidy(needed);
  }

  StackWatches watches;
  std::set<Va> waiting;
  const StackWatches::IsNeeded needed = [this](Va at, std::uint64_t size_bytes) {
    return size_bytes == 8 && waiting.contains(at);
  };
  const Va outer{0x2000};
  const Va inner{0x1000};
};

TEST_F(StackWatchesTest, WatchReadsOfTheWord) {
  const auto changes = call(outer);
  EXPECT_EQ(changes.insert, read_of(outer));
  EXPECT_EQ(changes.remove, std::nullopt);
  EXPECT_TRUE(watches.contains(outer));
  EXPECT_FALSE(watches.contains(inner));
}

TEST_F(StackWatchesTest, OneWatchServesATailCall) {
  (void)call(outer);
  EXPECT_EQ(call(outer).insert, std::nullopt);
  EXPECT_EQ(watches.size(), 1u);
}

TEST_F(StackWatchesTest, GoWithTheReturn) {
  (void)call(outer);
  EXPECT_EQ(return_from(outer).remove, read_of(outer));
  EXPECT_FALSE(watches.contains(outer));
  EXPECT_EQ(watches.tidy(needed).remove, std::nullopt);
}

TEST_F(StackWatchesTest, StayForALoopIfAsked) {
  watches.keep_idle(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(call(outer).insert.has_value(), i == 0);
    EXPECT_EQ(return_from(outer).remove, std::nullopt);
  }
}

TEST_F(StackWatchesTest, GoWhenAnotherWordIsIdleToo) {
  watches.keep_idle(1);
  (void)call(outer);
  (void)call(inner);
  EXPECT_EQ(return_from(outer).remove, std::nullopt);
  EXPECT_EQ(return_from(inner).remove, read_of(outer));
  EXPECT_TRUE(watches.contains(inner));
}

TEST_F(StackWatchesTest, GoWhenTheyAreReadAndNotNeeded) {
  watches.keep_idle(1);
  (void)call(outer);
  (void)return_from(outer);
  watches.spoil(outer);
  EXPECT_EQ(watches.tidy(needed).remove, read_of(outer));
}

TEST_F(StackWatchesTest, StayWhenTheyAreReadAndNeeded) {
  (void)call(outer);
  watches.spoil(outer);
  EXPECT_EQ(watches.tidy(needed).remove, std::nullopt);
  EXPECT_TRUE(watches.contains(outer));
}

TEST_F(StackWatchesTest, GoAllAtOnceIfNeedBe) {
  (void)call(outer);
  (void)call(inner);
  (void)call(Va{0x3000});
  waiting = {Va{0x3000}};
  EXPECT_EQ(watches.take_idle(needed, 1), (std::vector<Point>{read_of(outer)}));
  EXPECT_EQ(watches.take_idle(needed, 0), (std::vector<Point>{read_of(inner)}));
  EXPECT_TRUE(watches.contains(Va{0x3000}));
}

}  // namespace
}  // namespace swat::daemon
