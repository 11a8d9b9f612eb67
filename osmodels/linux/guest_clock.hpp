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

// Reads physical memory that the kernel never moves: one read a call.
class GuestClock {
 public:
  // kNotFound: this kernel does not tell where its timekeeper is, or what is there is no time.
  // `translate` gives the physical address of a kernel one. `ram` outlives this.
  template <class Translate>
  [[nodiscard]] static Result<GuestClock> find(const symbols::SymbolTable& symbols,
                                               const symbols::Btf& btf, PhysicalMemory& ram,
                                               Translate translate) {
    GuestClock clock(ram);
    const Va timekeeper = SWAT_TRY(clock.locate(symbols, btf));
    clock.at_ = SWAT_TRY(translate(timekeeper));
    SWAT_CHECK(clock.now_ns());
    return clock;
  }

  // Nanoseconds since 1970, UTC.
  [[nodiscard]] Result<std::uint64_t> now_ns();

 private:
  explicit GuestClock(PhysicalMemory& ram) : ram_(&ram) {}
  // Virtual address of the timekeeper; fills in the offsets.
  [[nodiscard]] Result<Va> locate(const symbols::SymbolTable& symbols, const symbols::Btf& btf);

  PhysicalMemory* ram_;
  Pa at_;
  std::uint32_t seconds_ = 0;      // xtime_sec, u64
  std::uint32_t nanoseconds_ = 0;  // tkr_mono.xtime_nsec, u64, shifted left by
  std::uint32_t shift_ = 0;        // tkr_mono.shift, u32
};

}  // namespace swat::os
