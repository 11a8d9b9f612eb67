#include "daemon/rate_cap.hpp"

#include <gtest/gtest.h>

namespace swat::daemon {
namespace {

using namespace std::chrono_literals;

constexpr RateCap::Clock::time_point kStart{1000s};

// How many of `times` events of `name` pass.
unsigned passed(RateCap& cap, const char* name, unsigned times) {
  unsigned passed = 0;
  for (unsigned i = 0; i < times; ++i) passed += cap.admits(name) ? 1 : 0;
  return passed;
}

TEST(RateCap, AdmitsSoManyOfEachName) {
  RateCap cap(3, kStart);
  EXPECT_EQ(passed(cap, "getpid", 10), 3u);
  EXPECT_EQ(passed(cap, "open", 2), 2u);
}

TEST(RateCap, TellsWhatItHeldBackWhenTheSecondHasEnded) {
  RateCap cap(3, kStart);
  EXPECT_EQ(passed(cap, "getpid", 10), 3u);
  EXPECT_EQ(passed(cap, "open", 3), 3u);
  EXPECT_TRUE(cap.take_ended(kStart + 999ms).empty());
  const auto held_back = cap.take_ended(kStart + 1000ms);
  ASSERT_EQ(held_back.size(), 1u);
  EXPECT_EQ(held_back[0].name, "getpid");
  EXPECT_EQ(held_back[0].count, 7u);
}

TEST(RateCap, CountsEachSecondAnew) {
  RateCap cap(3, kStart);
  EXPECT_EQ(passed(cap, "getpid", 5), 3u);
  EXPECT_EQ(cap.take_ended(kStart + 1200ms).size(), 1u);
  EXPECT_EQ(passed(cap, "getpid", 5), 3u);
  EXPECT_TRUE(cap.take_ended(kStart + 1999ms).empty());
  EXPECT_EQ(cap.take_ended(kStart + 2000ms).size(), 1u);
}

TEST(RateCap, LeavesNothingUntoldAtTheEnd) {
  RateCap cap(1, kStart);
  EXPECT_EQ(passed(cap, "getpid", 2), 1u);
  EXPECT_EQ(cap.take_all().size(), 1u);
  EXPECT_TRUE(cap.take_all().empty());
}

TEST(RateCap, SurvivesALongSilence) {
  RateCap cap(1, kStart);
  EXPECT_EQ(passed(cap, "getpid", 2), 1u);
  EXPECT_EQ(cap.take_ended(kStart + 24h).size(), 1u);
  EXPECT_EQ(passed(cap, "getpid", 2), 1u);
  EXPECT_TRUE(cap.take_ended(kStart + 24h + 500ms).empty());
}

}  // namespace
}  // namespace swat::daemon
