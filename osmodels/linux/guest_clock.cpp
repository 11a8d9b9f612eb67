#include "osmodels/linux/guest_clock.hpp"

#include <algorithm>

namespace swat::os {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

Result<Va> GuestClock::locate(const symbols::SymbolTable& symbols, const symbols::Btf& btf) {
  // timekeeper_data[0] since 6.17. Both begin with a sequence counter, then the timekeeper.
  const auto core = symbols.find_any({"tk_core", "timekeeper_data"});
  if (!core) return fail(Errc::kNotFound, "no symbol tk_core");
  constexpr std::uint32_t kAfterSequence = 8;
  const auto inside = btf.member("tk_data", "timekeeper");  // the struct has a name since 6.13
  seconds_ = SWAT_TRY(btf.member("timekeeper", "xtime_sec")).offset_bytes;
  nanoseconds_ = SWAT_TRY(btf.member("timekeeper", "tkr_mono.xtime_nsec")).offset_bytes;
  shift_ = SWAT_TRY(btf.member("timekeeper", "tkr_mono.shift")).offset_bytes;
  if (std::max({seconds_, nanoseconds_, shift_}) > kMostBytes - sizeof(std::uint64_t)) {
    return fail(Errc::kBadImage, "struct timekeeper is too large");
  }
  size_ = std::max({seconds_, nanoseconds_, shift_}) + sizeof(std::uint64_t);
  return *core + (inside ? inside->offset_bytes : kAfterSequence);
}

Result<std::uint64_t> GuestClock::last_ns() const {
  constexpr std::uint32_t kLargestShift = 32;
  std::uint64_t seconds = 0;
  std::uint64_t shifted = 0;
  std::uint32_t shift = 0;
  std::memcpy(&seconds, raw_.data() + seconds_, sizeof(seconds));
  std::memcpy(&shifted, raw_.data() + nanoseconds_, sizeof(shifted));
  std::memcpy(&shift, raw_.data() + shift_, sizeof(shift));
  // A tick adds at most a few seconds before it carries them over.
  const bool sane = shift <= kLargestShift && (shifted >> shift) < 10 * kNanosecondsPerSecond &&
                    seconds < UINT64_MAX / kNanosecondsPerSecond - 10;
  if (!sane) return fail(Errc::kBadImage, "the timekeeper holds no time", at_.value);
  return seconds * kNanosecondsPerSecond + (shifted >> shift);
}

}  // namespace swat::os
