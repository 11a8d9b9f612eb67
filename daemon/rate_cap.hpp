// --rate-cap: what happens too often is not logged, but counted.
//
// The cap is on the log, not on the stops: a trap that is taken out cannot count what it misses,
// and every event that is held back must be accounted for.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace swat::daemon {

class RateCap {
 public:
  using Clock = std::chrono::steady_clock;

  // Events of one name in one second of the host's time, seconds counted from `start`.
  RateCap(std::uint64_t per_second, Clock::time_point start)
      : per_second_(per_second), second_(start) {}

  [[nodiscard]] std::uint64_t per_second() const { return per_second_; }

  // One more event of `name` in the second that is counted: false when it is to be held back.
  [[nodiscard]] bool admits(std::string_view name);

  struct HeldBack {
    std::string name;
    std::uint64_t count;
  };
  // What was held back in a second that has ended by `now`, which never goes back; from then on
  // `now`'s second is counted.
  [[nodiscard]] std::vector<HeldBack> take_ended(Clock::time_point now);
  // The same, of the second that has not ended.
  [[nodiscard]] std::vector<HeldBack> take_all();

 private:
  std::uint64_t per_second_;
  Clock::time_point second_;                                // start of the one that is counted
  std::map<std::string, std::uint64_t, std::less<>> seen_;  // in it, by name
};

}  // namespace swat::daemon
