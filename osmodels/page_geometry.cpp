#include "osmodels/page_geometry.hpp"

#include <algorithm>

#include "osmodels/architecture.hpp"

namespace swat::os {
namespace {

// [Intel SDM vol. 3, 4.3 to 4.5: tables 4-4 to 4-20]
constexpr std::uint64_t kPresent = 1 << 0;
constexpr std::uint64_t kWritable = 1 << 1;
constexpr std::uint64_t kUser = 1 << 2;
constexpr std::uint64_t kLarge = 1 << 7;
constexpr std::uint64_t kNoExecute = std::uint64_t{1} << 63;
constexpr std::uint64_t kAddress52 = 0x000ffffffffff000;

constexpr EntryFormat x86_entry(unsigned bytes, std::uint64_t address, std::uint64_t no_execute) {
  return {bytes, kPresent,   kLarge, kLarge,    0, address, kUser,     kWritable,
          0,     no_execute, kUser,  kWritable, 0, 0,       no_execute};
}
constexpr EntryFormat kX86Long = x86_entry(8, kAddress52, kNoExecute);

constexpr PageGeometry kX86Geometries[] = {
    {"x86_64-4level",
     48,
     Half::kBoth,
     kX86Long,
     {{{39, 9, false, true}, {30, 9, true, true}, {21, 9, true, true}, {12, 9, false, true}}},
     4},
    {"x86_64-5level",
     57,
     Half::kBoth,
     kX86Long,
     {{{48, 9, false, true},
       {39, 9, false, true},
       {30, 9, true, true},
       {21, 9, true, true},
       {12, 9, false, true}}},
     5},
    // What an entry of the topmost table of "x86_64-4level" leads to.
    {"x86_64-3level",
     39,
     Half::kLow,
     kX86Long,
     {{{30, 9, true, true}, {21, 9, true, true}, {12, 9, false, true}}},
     3},
    // PSE-36 (physical bits 39:32 in bits 20:13 of a 4 MiB entry) is not decoded: only guests with
    // more than 4 GiB of RAM and no PAE kernel could use it, and no Linux or NT does.
    {"i386",
     32,
     Half::kLow,
     x86_entry(4, 0xfffff000, 0),
     {{{22, 10, true, true}, {12, 10, false, true}}},
     2},
    // The four entries of the first level have no rights bits. [SDM vol. 3, table 4-8]
    {"i386-pae",
     32,
     Half::kLow,
     kX86Long,
     {{{30, 2, false, false}, {21, 9, true, true}, {12, 9, false, true}}},
     3},
};

// The long descriptor of ARMv8, and of ARMv7 with LPAE. Execution is the user's (UXN) in the low
// half, the kernel's (PXN) in the high one. Physical addresses above 48 bits (LPA) are not decoded.
// [Arm ARM DDI 0487F, D5.3.1 to D5.3.3, tables D5-15, D5-17, D5-18, D5-34]
constexpr EntryFormat long_descriptor(unsigned granule_bits, Half half) {
  constexpr std::uint64_t kValid = 1;
  constexpr std::uint64_t kTable = 2;  // in the last level: page
  const auto bit = [](unsigned n) { return std::uint64_t{1} << n; };
  const bool low = half == Half::kLow;
  EntryFormat format{};
  format.entry_bytes = 8;
  format.present = kValid;
  format.leaf_mask = kTable;
  format.last_level = kTable;
  format.address_mask = (bit(48) - 1) & ~(bit(granule_bits) - 1);
  format.user = bit(6);       // AP[1]
  format.read_only = bit(7);  // AP[2]
  format.no_execute = bit(low ? 54 : 53);
  format.table_no_user = bit(61);    // APTable[0]
  format.table_read_only = bit(62);  // APTable[1]
  format.table_no_execute = bit(low ? 60 : 59);
  return format;
}

// A table fills one granule, but the topmost may have fewer entries. Blocks are 1 GiB, 2 MiB, 32
// MiB or 512 MiB. [DDI 0487F, D5.2.6 to D5.2.8, D5.3.1]
constexpr PageGeometry long_geometry(std::string_view name, unsigned granule_bits, unsigned va_bits,
                                     Half half) {
  constexpr unsigned kLargestBlockBits = 30;
  const unsigned level_bits = granule_bits - 3;
  PageGeometry made{name, va_bits, half, long_descriptor(granule_bits, half), {}, 0};
  made.level_count = (va_bits - granule_bits + level_bits - 1) / level_bits;
  for (std::size_t i = 0; i < made.level_count; ++i) {
    const auto below = static_cast<unsigned>(made.level_count - 1 - i);
    const unsigned shift = granule_bits + level_bits * below;
    const unsigned bits = i == 0 ? va_bits - shift : level_bits;
    made.levels[i] = {shift, bits, below > 0 && shift <= kLargestBlockBits, true};
  }
  return made;
}

struct Aarch64Row {
  unsigned granule_bits;
  unsigned va_bits;
  PageGeometry user;
  PageGeometry kernel;
};
constexpr Aarch64Row aarch64_row(std::string_view user, std::string_view kernel,
                                 unsigned granule_bits, unsigned va_bits) {
  return {granule_bits, va_bits, long_geometry(user, granule_bits, va_bits, Half::kLow),
          long_geometry(kernel, granule_bits, va_bits, Half::kHigh)};
}

// What Linux can be built for, without LVA and LPA2. [arch/arm64/Kconfig, ARM64_VA_BITS]
constexpr Aarch64Row kAarch64Rows[] = {
    aarch64_row("aarch64-4k-39-user", "aarch64-4k-39-kernel", 12, 39),
    aarch64_row("aarch64-4k-48-user", "aarch64-4k-48-kernel", 12, 48),
    aarch64_row("aarch64-16k-36-user", "aarch64-16k-36-kernel", 14, 36),
    aarch64_row("aarch64-16k-47-user", "aarch64-16k-47-kernel", 14, 47),
    aarch64_row("aarch64-16k-48-user", "aarch64-16k-48-kernel", 14, 48),
    aarch64_row("aarch64-64k-42-user", "aarch64-64k-42-kernel", 16, 42),
    aarch64_row("aarch64-64k-48-user", "aarch64-64k-48-kernel", 16, 48),
};

// TTBCR.N or T0SZ of 0: one table has both halves. [DDI 0406C, B3.6]
constexpr PageGeometry kArmLpae = long_geometry("arm-lpae", 12, 32, Half::kLow);

// `bits` that are to be set, and `against` that are to be clear, if there are such bits.
bool allows(std::uint64_t entry, std::uint64_t bits, std::uint64_t against) {
  return (bits == 0 || (entry & bits) != 0) && (entry & against) == 0;
}

Descriptor decode_by_kind(const PageGeometry& geometry, std::size_t level, std::uint64_t entry) {
  const auto kind = std::ranges::find_if(geometry.kinds, [&](const EntryKind& row) {
    return row.level == level && (entry & row.mask) == row.value;
  });
  if (kind == geometry.kinds.end()) return {};
  const Pa at{entry & kind->address_mask};
  if (kind->kind == Descriptor::Kind::kTable) return {kind->kind, at, true, true, true};
  const std::uint64_t leaf_bytes = kind->address_mask & (~kind->address_mask + 1);
  const std::uint64_t entry_bytes = std::uint64_t{1} << geometry.levels[level].shift;
  return {kind->kind,
          at,
          allows(entry, kind->user, 0),
          allows(entry, kind->writable, kind->read_only),
          allows(entry, 0, kind->no_execute),
          leaf_bytes - entry_bytes};
}

Result<std::uint64_t> reg_or_zero(GuestView& guest, unsigned vcpu, std::string_view name) {
  Result<std::uint64_t> value = guest.reg(vcpu, name);
  if (!value && value.error().code == Errc::kNotFound) return 0;
  return value;
}

}  // namespace

Descriptor decode(const PageGeometry& geometry, std::size_t level, std::uint64_t entry) {
  if (!geometry.kinds.empty()) return decode_by_kind(geometry, level, entry);
  const EntryFormat& format = geometry.entry;
  if ((entry & format.present) == 0) return {};
  const Level& shape = geometry.levels[level];
  const bool last = level + 1 == geometry.level_count;
  const bool says_leaf = (entry & format.leaf_mask) == format.leaf;
  if (last && (entry & format.last_level) != format.last_level) return {};
  // A block where there are none is reserved: nothing there.
  if (!last && says_leaf && !shape.may_be_leaf && format.last_level != 0) return {};
  Descriptor found;
  std::uint64_t mask = format.address_mask;
  if (last || (shape.may_be_leaf && says_leaf)) {
    found.kind = Descriptor::Kind::kLeaf;
    mask &= ~((std::uint64_t{1} << shape.shift) - 1);
    found.user = allows(entry, format.user, 0);
    found.writable = allows(entry, format.writable, format.read_only);
    found.executable = allows(entry, 0, format.no_execute);
  } else {
    found.kind = Descriptor::Kind::kTable;
    found.user = allows(entry, format.table_user, format.table_no_user);
    found.writable = allows(entry, format.table_writable, format.table_read_only);
    found.executable = allows(entry, 0, format.table_no_execute);
  }
  found.at = Pa{entry & mask};
  if (!shape.has_rights) found.user = found.writable = found.executable = true;
  return found;
}

bool is_canonical(const PageGeometry& geometry, Va at) {
  const std::uint64_t above = geometry.half == Half::kBoth ? at.value >> (geometry.va_bits - 1)
                                                           : at.value >> geometry.va_bits;
  const unsigned bits = 64 - geometry.va_bits + (geometry.half == Half::kBoth ? 1 : 0);
  const std::uint64_t ones = (std::uint64_t{1} << bits) - 1;
  return (above == 0 && geometry.half != Half::kHigh) ||
         (above == ones && geometry.half != Half::kLow);
}

std::uint64_t lowest_address(const PageGeometry& geometry) {
  return geometry.half == Half::kHigh ? ~std::uint64_t{0} << geometry.va_bits : 0;
}

const PageGeometry* find_geometry(std::string_view name) {
  for (const PageGeometry& row : kX86Geometries) {
    if (row.name == name) return &row;
  }
  for (const Aarch64Row& row : kAarch64Rows) {
    if (row.user.name == name) return &row.user;
    if (row.kernel.name == name) return &row.kernel;
  }
  return name == kArmLpae.name ? &kArmLpae : find_short_geometry(name);
}

std::uint64_t root_bytes(const PageGeometry& geometry) {
  return std::uint64_t{geometry.entry.entry_bytes} << geometry.levels[0].index_bits;
}

Pa root_entry_of(const PageGeometry& geometry, Pa root, Va at) {
  const Level& topmost = geometry.levels[0];
  const std::uint64_t index = at.value >> topmost.shift & ((1u << topmost.index_bits) - 1);
  return root + index * geometry.entry.entry_bytes;
}

unsigned entry_bytes(const PageGeometry& geometry) { return geometry.entry.entry_bytes; }

unsigned va_bits_of(const PageGeometry& geometry) { return geometry.va_bits; }

// [DDI 0487F, D13.2.120: TCR_EL1; D13.2.116: SCTLR_EL1]
Result<GeometryPair> aarch64_geometries(GuestView& guest, unsigned vcpu) {
  constexpr std::uint64_t kMmuOn = 1;
  constexpr std::array<unsigned, 4> kLowGranules = {12, 16, 14, 0};   // by TG0
  constexpr std::array<unsigned, 4> kHighGranules = {0, 14, 12, 16};  // by TG1
  constexpr std::uint64_t kSizeBits = 0x3f;
  if ((SWAT_TRY(system_register(guest, vcpu, "SCTLR")) & kMmuOn) == 0) {
    return fail(Errc::kUnsupported, "the MMU is off on this CPU");
  }
  const std::uint64_t tcr = SWAT_TRY(guest.reg(vcpu, "TCR_EL1"));
  const auto row_of = [](unsigned granule_bits, std::uint64_t size_offset) -> const Aarch64Row* {
    for (const Aarch64Row& row : kAarch64Rows) {
      if (row.granule_bits == granule_bits && 64 - row.va_bits == size_offset) return &row;
    }
    return nullptr;
  };
  const Aarch64Row* low = row_of(kLowGranules[tcr >> 14 & 3], tcr & kSizeBits);
  const Aarch64Row* high = row_of(kHighGranules[tcr >> 30 & 3], tcr >> 16 & kSizeBits);
  if (low == nullptr || high == nullptr) {
    return fail(Errc::kUnsupported, "page tables of this size are not known (TCR_EL1)", tcr);
  }
  return GeometryPair{&low->user, &high->kernel};
}

Result<const PageGeometry*> x86_geometry(GuestView& guest, unsigned vcpu) {
  constexpr std::uint64_t kCr0Paging = std::uint64_t{1} << 31;
  constexpr std::uint64_t kCr4Pae = 1 << 5;
  constexpr std::uint64_t kCr4La57 = 1 << 12;
  constexpr std::uint64_t kEferLongModeActive = 1 << 10;
  const std::uint64_t cr4 = SWAT_TRY(guest.reg(vcpu, "cr4"));
  const std::uint64_t efer = SWAT_TRY(reg_or_zero(guest, vcpu, "efer"));
  if ((SWAT_TRY(guest.reg(vcpu, "cr0")) & kCr0Paging) == 0) {
    return fail(Errc::kUnsupported, "paging is off on this CPU");
  }
  if ((efer & kEferLongModeActive) != 0) {
    return find_geometry((cr4 & kCr4La57) != 0 ? "x86_64-5level" : "x86_64-4level");
  }
  return find_geometry((cr4 & kCr4Pae) != 0 ? "i386-pae" : "i386");
}

}  // namespace swat::os
