#include "osmodels/linux/guest_clock.hpp"

#include <algorithm>

namespace swat::os {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

Result<ClockLayout> GuestClock::locate(const symbols::SymbolTable& symbols,
                                       const symbols::Btf& btf) {
  // timekeeper_data[0] since 6.17. Both begin with a sequence counter, then the timekeeper.
  const auto core = symbols.find_any({"tk_core", "timekeeper_data"});
  if (!core) return fail(Errc::kNotFound, "no symbol tk_core");
  constexpr std::uint32_t kAfterSequence = 8;
  const auto inside = btf.member("tk_data", "timekeeper");  // the struct has a name since 6.13
  ClockLayout layout{*core + (inside ? inside->offset_bytes : kAfterSequence)};
  layout.seconds = SWAT_TRY(btf.member("timekeeper", "xtime_sec")).offset_bytes;
  layout.nanoseconds = SWAT_TRY(btf.member("timekeeper", "tkr_mono.xtime_nsec")).offset_bytes;
  layout.shift = SWAT_TRY(btf.member("timekeeper", "tkr_mono.shift")).offset_bytes;
  return layout;
}

Result<> GuestClock::set(const ClockLayout& layout) {
  const std::uint32_t last = std::max({layout.seconds, layout.nanoseconds, layout.shift});
  if (last > kMostBytes - sizeof(std::uint64_t)) {
    return fail(Errc::kBadImage, "struct timekeeper is too large");
  }
  layout_ = layout;
  size_ = last + sizeof(std::uint64_t);
  return {};
}

Result<std::uint64_t> GuestClock::last_ns() const {
  constexpr std::uint32_t kLargestShift = 32;
  std::uint64_t seconds = 0;
  std::uint64_t shifted = 0;
  std::uint32_t shift = 0;
  std::memcpy(&seconds, raw_.data() + layout_.seconds, sizeof(seconds));
  std::memcpy(&shifted, raw_.data() + layout_.nanoseconds, sizeof(shifted));
  std::memcpy(&shift, raw_.data() + layout_.shift, sizeof(shift));
  // A tick adds at most a few seconds before it carries them over.
  const bool sane = shift <= kLargestShift && (shifted >> shift) < 10 * kNanosecondsPerSecond &&
                    seconds < UINT64_MAX / kNanosecondsPerSecond - 10;
  if (!sane) return fail(Errc::kBadImage, "the timekeeper holds no time", at_.value);
  return seconds * kNanosecondsPerSecond + (shifted >> shift);
}

}  // namespace swat::os
