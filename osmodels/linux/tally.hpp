// How many of the objects that were looked at agree with what is judged (acceptance.hpp).
#pragma once

#include <algorithm>
#include <cstddef>

#include "osmodels/linux/acceptance.hpp"

namespace swat::os {

struct Tally {
  std::size_t agree = 0;
  std::size_t of = 0;

  void add(bool agrees) {
    agree += agrees ? 1 : 0;
    ++of;
  }
  [[nodiscard]] Invariant::State state() const {
    if (of == 0) return Invariant::State::kUntested;
    return agree != 0 && agree * 4 >= of * 3 ? Invariant::State::kHolds : Invariant::State::kBroken;
  }
  // Something that admits of no exception does not hold.
  [[nodiscard]] Tally refused() const { return {0, std::max<std::size_t>(of, 1)}; }
};

}  // namespace swat::os
