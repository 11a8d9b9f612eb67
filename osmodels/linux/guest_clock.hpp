// The guest's own wall clock, as its kernel last wrote it down: CLOCK_REALTIME_COARSE.
//
// The timekeeper is updated at every tick, so it lags by one tick (1 to 10 ms) while the guest is
// busy, which it is at a syscall. [kernel/time/timekeeping.c, tk_core; struct timekeeper]
#pragma once

#include <cstdint>
#include <optional>

#include "symbols/btf.hpp"
#include "symbols/memory.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

// Where a kernel's timekeeper is, and what of it says the time.
struct ClockLayout {
  Va timekeeper;
  std::uint32_t seconds = 0;      // xtime_sec, u64
  std::uint32_t nanoseconds = 0;  // tkr_mono.xtime_nsec, u64, shifted left by
  std::uint32_t shift = 0;        // tkr_mono.shift, u32
};

// It lies in physical memory that the kernel never moves.
class GuestClock {
 public:
  // kNotFound: this kernel does not tell.
  [[nodiscard]] static Result<ClockLayout> locate(const symbols::SymbolTable& symbols,
                                                  const symbols::Btf& btf);
  // kBadImage: what is there is no time. `translate` gives the physical address of a kernel one.
  template <class Translate>
  [[nodiscard]] static Result<GuestClock> at(const ClockLayout& layout, PhysicalMemory& ram,
                                             Translate translate) {
    GuestClock clock;
    SWAT_CHECK(clock.set(layout));
    clock.at_ = SWAT_TRY(translate(layout.timekeeper));
    const PhysicalMemory::Piece piece = clock.piece();
    SWAT_CHECK(ram.read(piece.at, piece.into));
    SWAT_CHECK(clock.last_ns());
    return clock;
  }

  // What to read for a new time: into this object, whenever RAM is read anyway.
  [[nodiscard]] PhysicalMemory::Piece piece() { return {at_, std::span(raw_).first(size_)}; }
  // Nanoseconds since 1970, UTC, by what piece() last read.
  [[nodiscard]] Result<std::uint64_t> last_ns() const;

 private:
  GuestClock() = default;
  [[nodiscard]] Result<> set(const ClockLayout& layout);

  static constexpr std::size_t kMostBytes = 1024;  // struct timekeeper has about 300

  Pa at_;
  std::size_t size_ = 0;
  std::array<std::byte, kMostBytes> raw_{};
  ClockLayout layout_;
};

}  // namespace swat::os
