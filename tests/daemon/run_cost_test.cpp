#include "daemon/run_cost.hpp"

#include <gtest/gtest.h>

namespace swat::daemon {
namespace {

using namespace std::chrono_literals;

// QEMU 7.2.22's `info jit`, its middle left out.
constexpr const char* kInfoJit =
    "Translation buffer state:\n"
    "gen code size       6295507/1073577984\n"
    "TB count            13102\n"
    "\nStatistics:\n"
    "TB flush count      17\n"
    "TB invalidate count 2155\n"
    "TLB full flushes    0\n";

CostReading reading(std::chrono::seconds at) {
  CostReading reading;
  reading.at = std::chrono::steady_clock::time_point(at);
  return reading;
}

bool has(const std::vector<std::string>& lines, std::string_view text) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

TEST(RunCost, ReadsTheFlushCount) {
  EXPECT_EQ(parse_flush_count(kInfoJit), 17u);
  EXPECT_EQ(parse_flush_count("JIT information is only available with accel=tcg"), std::nullopt);
  EXPECT_EQ(parse_flush_count("TB flush count"), std::nullopt);
  EXPECT_EQ(parse_flush_count("TB flush count      many"), std::nullopt);
}

TEST(RunCost, CountsWhatHasGrown) {
  CostReading before = reading(100s);
  CostReading after = reading(110s);
  before.wire = {50, 500, 5, 2, 0ns};
  after.wire = {2050, 20500, 25, 1002, 2s};
  const auto lines = describe_cost(before, after, {500, 500});
  EXPECT_TRUE(has(lines, "10.0 s, 500 events (50/s), 1000 stops (100/s), 500 of them no event"));
  EXPECT_TRUE(has(lines, "2000 bytes sent and 20000 received: 44 an event"));
  EXPECT_TRUE(has(lines, "20.0 % of the time in swatd's hands"));
}

TEST(RunCost, TellsByTheGuestsClockHowLongItStood) {
  CostReading before = reading(100s);
  CostReading after = reading(110s);
  before.guest_ns = 1'000'000'000;
  after.guest_ns = 4'000'000'000;
  EXPECT_TRUE(has(describe_cost(before, after, {}), "70.0 % by its own clock"));
}

// Its clock was set, or is not known: nothing is said rather than something wrong.
TEST(RunCost, SaysNothingOfAClockThatDoesNotTell) {
  CostReading before = reading(100s);
  CostReading after = reading(110s);
  EXPECT_FALSE(has(describe_cost(before, after, {}), "clock"));
  before.guest_ns = 4'000'000'000;
  after.guest_ns = 1'000'000'000;
  EXPECT_FALSE(has(describe_cost(before, after, {}), "clock"));
}

TEST(RunCost, CountsFlushesWhereBothReadingsHaveThem) {
  CostReading before = reading(100s);
  CostReading after = reading(110s);
  after.flushes = 30;
  EXPECT_FALSE(has(describe_cost(before, after, {10, 0}), "flushed"));
  before.flushes = 10;
  EXPECT_TRUE(has(describe_cost(before, after, {10, 0}), "20 times: 2.00 an event"));
}

TEST(RunCost, NeedsNoEvents) {
  const auto lines = describe_cost(reading(100s), reading(100s), {});
  EXPECT_TRUE(has(lines, "0 events (0/s)"));
}

}  // namespace
}  // namespace swat::daemon
