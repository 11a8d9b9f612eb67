#include "gdbproto/silent_stops.hpp"

#include <algorithm>
#include <utility>

namespace swat::gdbproto {
namespace {

constexpr std::uint8_t kSignalInterrupt = 2;
constexpr std::uint8_t kSignalTrap = 5;

}  // namespace

// An event is but a hint: those of steps and of other stops that the stub has reported are still to
// be read. Only the state as of now counts, and its reply comes after the event of this stop.
Result<StopReply> SilentStops::wait(Millis timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (Millis left = timeout;;) {
    if (std::exchange(asked_, false) || SWAT_TRY(monitor_.next_event(left)) == "STOP") {
      const std::string state = SWAT_TRY(monitor_.run_state());
      if (state != "running") {
        monitor_.forget_events();
        StopReply stop;
        stop.signal = state == "debug" ? kSignalTrap : kSignalInterrupt;
        return stop;
      }
    }
    const auto now = std::chrono::steady_clock::now();
    left = std::max(Millis{0}, std::chrono::duration_cast<Millis>(deadline - now));
  }
}

Result<> SilentStops::pause() {
  SWAT_CHECK(monitor_.execute("stop"));
  asked_ = true;
  return {};
}

}  // namespace swat::gdbproto
