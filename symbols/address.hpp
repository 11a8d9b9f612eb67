// Guest addresses with their space in the type: a Va is not a Pa, and neither is a number.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace swat {

// Arithmetic wraps modulo 2^64, as the guest's own does; a range check compares, it never adds.
template <class Space>
struct Address {
  std::uint64_t value = 0;

  friend constexpr auto operator<=>(Address, Address) = default;
  friend constexpr Address operator+(Address a, std::uint64_t bytes) { return {a.value + bytes}; }
  friend constexpr Address operator-(Address a, std::uint64_t bytes) { return {a.value - bytes}; }
  friend constexpr std::uint64_t operator-(Address a, Address b) { return a.value - b.value; }

  [[nodiscard]] constexpr bool is_null() const { return value == 0; }
  // `alignment` is a power of two, in bytes.
  [[nodiscard]] constexpr Address aligned_down(std::uint64_t alignment) const {
    return {value & ~(alignment - 1)};
  }
};

using Va = Address<struct VirtualSpace>;   // virtual: means something in one address space only
using Pa = Address<struct PhysicalSpace>;  // guest physical

// [start, end) in one space.
template <class A>
struct Range {
  A start;
  A end;

  friend constexpr auto operator<=>(const Range&, const Range&) = default;
  [[nodiscard]] constexpr std::uint64_t size() const { return end - start; }
  [[nodiscard]] constexpr bool contains(A at) const { return start <= at && at < end; }
  [[nodiscard]] constexpr bool overlaps(const Range& o) const {
    return start < o.end && o.start < end;
  }
};

using VaRange = Range<Va>;
using PaRange = Range<Pa>;

}  // namespace swat

template <class Space>
struct std::hash<swat::Address<Space>> {
  std::size_t operator()(swat::Address<Space> a) const noexcept {
    return std::hash<std::uint64_t>{}(a.value);
  }
};
