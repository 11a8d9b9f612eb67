// ARM's short descriptors: sections and supersections in a first level of 16 KiB, small and large
// pages in second levels of 1 KiB. [Arm ARM DDI 0406C, B3.5; of ARMv5 DDI 0100I, B4.7]
//
// Rights: AP[1] lets user mode in, AP[0] lets it (or, without AP[1], the kernel) write, AP[2]
// forbids writing. Domains are not looked at: Linux has all in client domains, but uses domain
// switches against its own accesses to user memory. The high physical bits of supersections, above
// 4 GiB, are not decoded.
#include <algorithm>
#include <array>

#include "osmodels/architecture.hpp"
#include "osmodels/page_geometry.hpp"

namespace swat::os {
namespace {

using Kind = Descriptor::Kind;

constexpr std::uint64_t bit(unsigned n) { return std::uint64_t{1} << n; }

// With XN and AP[2]: ARMv6 where SCTLR.XP is set, and ARMv7. [DDI 0406C, figures B3-4 and B3-5]
constexpr EntryKind kVersion6[] = {
    {0, 3, 1, Kind::kTable, 0xfffffc00, 0, 0, 0, 0},
    {0, bit(18) | 2, 2, Kind::kLeaf, 0xfff00000, bit(11), bit(10), bit(15), bit(4)},
    {0, bit(18) | 2, bit(18) | 2, Kind::kLeaf, 0xff000000, bit(11), bit(10), bit(15), bit(4)},
    {1, 3, 1, Kind::kLeaf, 0xffff0000, bit(5), bit(4), bit(9), bit(15)},
    {1, 2, 2, Kind::kLeaf, 0xfffff000, bit(5), bit(4), bit(9), bit(0)},
};

// Without. A page has rights for each of its quarters: those of the first are taken, as Linux has
// all four the same. Fine tables and tiny pages are not decoded: Linux has none.
// [DDI 0100I, B4.7.3 to B4.7.6]
constexpr EntryKind kVersion5[] = {
    {0, 3, 1, Kind::kTable, 0xfffffc00, 0, 0, 0, 0},
    {0, 3, 2, Kind::kLeaf, 0xfff00000, bit(11), bit(10), 0, 0},
    {1, 3, 1, Kind::kLeaf, 0xffff0000, bit(5), bit(4), 0, 0},
    {1, 2, 2, Kind::kLeaf, 0xfffff000, bit(5), bit(4), 0, 0},
};

constexpr PageGeometry geometry_of(std::string_view name, unsigned va_bits,
                                   std::span<const EntryKind> kinds) {
  PageGeometry made{name, va_bits, Half::kLow, {}, {}, 2, kinds};
  made.entry.entry_bytes = 4;
  made.levels[0] = {20, va_bits - 20, true, true};
  made.levels[1] = {12, 8, true, true};
  return made;
}

// By TTBCR.N: TTBR0 has that many address bits fewer, and TTBR1 what is above. [DDI 0406C, B3.5.4]
constexpr std::array kByN = {
    geometry_of("arm-v6", 32, kVersion6),       geometry_of("arm-v6-31bit", 31, kVersion6),
    geometry_of("arm-v6-30bit", 30, kVersion6), geometry_of("arm-v6-29bit", 29, kVersion6),
    geometry_of("arm-v6-28bit", 28, kVersion6), geometry_of("arm-v6-27bit", 27, kVersion6),
    geometry_of("arm-v6-26bit", 26, kVersion6), geometry_of("arm-v6-25bit", 25, kVersion6),
};
constexpr PageGeometry kGeometryVersion5 = geometry_of("arm-v5", 32, kVersion5);

}  // namespace

const PageGeometry* find_short_geometry(std::string_view name) {
  if (name == kGeometryVersion5.name) return &kGeometryVersion5;
  const auto* const row = std::ranges::find(kByN, name, &PageGeometry::name);
  return row == kByN.end() ? nullptr : row;
}

// [DDI 0406C, B4.1.130: SCTLR; B4.1.153: TTBCR]
Result<GeometryPair> arm_geometries(GuestView& guest, unsigned vcpu) {
  constexpr std::uint64_t kMmuOn = bit(0);
  constexpr std::uint64_t kExtendedPages = bit(23);    // XP; always set in ARMv7
  constexpr std::uint64_t kLongDescriptors = bit(31);  // EAE
  constexpr std::uint64_t kNoUserWalks = bit(7);       // EPD0, of long descriptors
  constexpr std::uint64_t kSize = 7;                   // T0SZ, or N
  const std::uint64_t control = SWAT_TRY(system_register(guest, vcpu, "SCTLR"));
  if ((control & kMmuOn) == 0) return fail(Errc::kUnsupported, "the MMU is off on this CPU");
  const Result<std::uint64_t> ttbcr = guest.reg(vcpu, "TTBCR");
  if (!ttbcr && ttbcr.error().code != Errc::kNotFound) return tl::unexpected(ttbcr.error());
  if ((control & kExtendedPages) == 0) return GeometryPair{&kGeometryVersion5, &kGeometryVersion5};
  const std::uint64_t how = ttbcr.value_or(0);
  if ((how & kLongDescriptors) == 0) return GeometryPair{&kByN[how & kSize], kByN.data()};
  // Linux from 6.9 on changes T0SZ while it forbids walks through TTBR0, which stays. Its tables of
  // processes map the kernel as well, whatever T1SZ is. [arch/arm/include/asm/uaccess-asm.h,
  // pgtable-3level-hwdef.h]
  if ((how & kSize) != 0 && (how & kNoUserWalks) == 0) {
    return fail(Errc::kUnsupported, "page tables of this size are not known (TTBCR)", how);
  }
  return GeometryPair{find_geometry("arm-lpae"), find_geometry("arm-lpae")};
}

}  // namespace swat::os
