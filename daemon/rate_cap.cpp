#include "daemon/rate_cap.hpp"

#include <utility>

namespace swat::daemon {

bool RateCap::admits(std::string_view name) {
  auto it = seen_.find(name);
  if (it == seen_.end()) it = seen_.emplace(name, 0).first;
  return ++it->second <= per_second_;
}

std::vector<RateCap::HeldBack> RateCap::take_ended(Clock::time_point now) {
  constexpr std::chrono::seconds kSecond{1};
  if (now - second_ < kSecond) return {};
  second_ += std::chrono::duration_cast<std::chrono::seconds>(now - second_);
  return take_all();
}

std::vector<RateCap::HeldBack> RateCap::take_all() {
  std::vector<HeldBack> held_back;
  for (const auto& [name, count] : std::exchange(seen_, {})) {
    if (count > per_second_) held_back.push_back({name, count - per_second_});
  }
  return held_back;
}

}  // namespace swat::daemon
