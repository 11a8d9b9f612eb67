#include "osmodels/aarch64/code.hpp"

namespace swat::os::aarch64 {
namespace {

constexpr std::uint32_t field(std::uint32_t word, unsigned low, unsigned bits) {
  return word >> low & ((1u << bits) - 1);
}

constexpr std::int64_t signed_field(std::uint32_t word, unsigned low, unsigned bits) {
  const auto value = static_cast<std::int64_t>(field(word, low, bits));
  const std::int64_t sign = std::int64_t{1} << (bits - 1);
  return (value ^ sign) - sign;
}

constexpr unsigned target(std::uint32_t word) { return field(word, 0, 5); }
constexpr unsigned base(std::uint32_t word) { return field(word, 5, 5); }

using Decoder = std::optional<Load> (*)(std::uint32_t);

Load plain(std::uint32_t word) {
  Load load;
  load.size_bytes = field(word, 30, 1) == 1 ? 8 : 4;
  load.to[0] = target(word);
  load.base = base(word);
  return load;
}

std::optional<Load> unsigned_offset(std::uint32_t word) {
  Load load = plain(word);
  load.offset = static_cast<std::int64_t>(field(word, 10, 12)) * load.size_bytes;
  return load;
}

// LDUR, and LDR with the base changed before or after.
std::optional<Load> unscaled(std::uint32_t word) {
  Load load = plain(word);
  load.offset = signed_field(word, 12, 9);
  const std::uint32_t kind = field(word, 10, 2);
  if (kind == 2) return {};  // LDTR: with the user's rights
  load.writes_back = kind != 0;
  load.post = kind == 1;
  return load;
}

std::optional<Load> by_register(std::uint32_t word) {
  constexpr std::uint32_t kUxtw = 2;
  constexpr std::uint32_t kLsl = 3;
  Load load = plain(word);
  const std::uint32_t option = field(word, 13, 3);
  if (option != kUxtw && option != kLsl) return {};
  load.index = field(word, 16, 5);
  load.index_is_word = option == kUxtw;
  load.index_shift = field(word, 12, 1) == 0 ? 0 : (load.size_bytes == 8 ? 3 : 2);
  return load;
}

std::optional<Load> pair(std::uint32_t word) {
  constexpr std::uint32_t kPost = 1;
  constexpr std::uint32_t kOffset = 2;
  Load load;
  load.count = 2;
  load.size_bytes = field(word, 31, 1) == 1 ? 8 : 4;
  load.to = {target(word), field(word, 10, 5)};
  load.base = base(word);
  load.offset = signed_field(word, 15, 7) * load.size_bytes;
  const std::uint32_t kind = field(word, 23, 2);
  load.writes_back = kind != kOffset;
  load.post = kind == kPost;
  return load;
}

std::optional<Load> literal(std::uint32_t word) {
  Load load = plain(word);
  load.literal = true;
  load.base = 0;
  load.offset = signed_field(word, 5, 19) * 4;
  return load;
}

struct Row {
  std::uint32_t mask;
  std::uint32_t value;
  Decoder decode;
};
// [DDI 0487, C4.1.4: loads and stores]
constexpr Row kLoads[] = {
    {0xbfc00000, 0xb9400000, unsigned_offset},
    {0xbfe00000, 0xb8400000, unscaled},
    {0xbfe00c00, 0xb8600800, by_register},
    {0x7fc00000, 0x28c00000, pair},
    {0x7fc00000, 0x29400000, pair},
    {0x7fc00000, 0x29c00000, pair},
    {0xbf000000, 0x18000000, literal},
};

// A base that is loaded, too, would be changed twice.
bool is_defined(const Load& load) {
  if (!load.writes_back || load.base == kZeroOrSp) return true;
  for (unsigned i = 0; i < load.count; ++i) {
    if (load.to[i] == load.base) return false;
  }
  return true;
}

}  // namespace

std::string_view register_name(unsigned number) {
  static constexpr std::array<std::string_view, 32> kNames = {
      "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",  "x10",
      "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",
      "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp"};
  return kNames[number & 31];
}

std::optional<Load> load_of(std::uint32_t word) {
  for (const Row& row : kLoads) {
    if ((word & row.mask) != row.value) continue;
    const auto load = row.decode(word);
    return load && is_defined(*load) ? load : std::nullopt;
  }
  return {};
}

std::optional<PageAddress> adrp_of(std::uint32_t word, Va at) {
  constexpr std::uint64_t kPage = 4096;
  if ((word & 0x9f000000) != 0x90000000) return {};
  const std::int64_t pages = signed_field(word, 5, 19) * 4 + field(word, 29, 2);
  return PageAddress{target(word),
                     at.aligned_down(kPage) + static_cast<std::uint64_t>(pages) * kPage};
}

std::optional<AddImmediate> add_of(std::uint32_t word) {
  const bool subtracts = (word & 0xff800000) == 0xd1000000;
  if (!subtracts && (word & 0xff800000) != 0x91000000) return {};
  std::uint64_t amount = field(word, 10, 12);
  if (field(word, 22, 1) == 1) amount <<= 12;
  return AddImmediate{target(word), base(word), subtracts ? std::uint64_t{0} - amount : amount};
}

std::optional<Move> move_of(std::uint32_t word) {
  if ((word & 0xffe0ffe0) != 0xaa0003e0) return {};
  return Move{target(word), field(word, 16, 5)};
}

std::optional<Move> word_move_of(std::uint32_t word) {
  if ((word & 0xffe0ffe0) != 0x2a0003e0) return {};
  return Move{target(word), field(word, 16, 5)};
}

std::optional<Constant> constant_of(std::uint32_t word) {
  if ((word & 0x7fe00000) != 0x52800000) return {};
  return Constant{target(word), field(word, 5, 16)};
}

std::optional<RegisterBranch> register_branch_of(std::uint32_t word) {
  const bool links = (word & 0xfffffc1f) == 0xd63f0000;
  if (!links && (word & 0xfffffc1f) != 0xd61f0000) return {};
  return RegisterBranch{base(word), links};
}

// [DDI 0487, C4.1.3: branches, exception generating and system instructions; hints are not]
bool is_branch(std::uint32_t word) {
  const bool is_of_the_group = (word & 0x1c000000) == 0x14000000;
  const bool is_system = (word & 0xffc00000) == 0xd5000000;
  return is_of_the_group && !is_system;
}

std::optional<Va> direct_branch_of(std::uint32_t word, Va at) {
  if ((word & 0x7c000000) != 0x14000000) return {};
  return at + static_cast<std::uint64_t>(signed_field(word, 0, 26) * 4);
}

}  // namespace swat::os::aarch64
