#include "osmodels/arm/code.hpp"

#include <array>

namespace swat::os::arm {
namespace {

constexpr std::uint32_t kThumbState = 1 << 5;
constexpr std::uint32_t kJazelle = 1 << 24;
constexpr std::uint32_t kBigEndian = 1 << 9;
// ITSTATE is CPSR[15:10] above CPSR[26:25].
constexpr std::uint32_t kItHigh = 0xfc00;
constexpr std::uint32_t kItLow = 0x06000000;

constexpr std::uint32_t field(std::uint32_t bits, unsigned low, unsigned count) {
  return bits >> low & ((1u << count) - 1);
}
constexpr bool bit(std::uint32_t bits, unsigned at) { return (bits >> at & 1) != 0; }

constexpr std::int64_t offset_of(std::uint32_t magnitude, bool adds) {
  return adds ? std::int64_t{magnitude} : -std::int64_t{magnitude};
}

// A base that is pc, or that is loaded, too, is not defined together with a change of it; loads
// with the rights of the user (LDRT) are none of ours. [DDI 0406C, A8.8.62 to A8.8.66, A8.8.92]
std::optional<Load> if_defined(const Load& load) {
  const bool base_changes = load.writes_back && (load.base == kPc || load.base == load.to);
  if (base_changes || load.index == kPc) return {};
  return load;
}

// LDR of A32: immediate, literal and register.
std::optional<Load> load_of_arm(std::uint32_t bits) {
  const bool by_register = bit(bits, 25);
  const bool is_word_load = field(bits, 26, 2) == 1 && !bit(bits, 22) && bit(bits, 20);
  if (!is_word_load || bits >> 28 == 15) return {};
  const bool before = bit(bits, 24);
  const bool adds = bit(bits, 23);
  if (!before && bit(bits, 21)) return {};
  Load load{field(bits, 12, 4), field(bits, 16, 4), 0, {}, 0, !before || bit(bits, 21), !before};
  if (by_register) {
    const bool shifts_left = field(bits, 4, 3) == 0;
    if (!adds || !shifts_left) return {};
    load.index = field(bits, 0, 4);
    load.index_shift = field(bits, 7, 5);
  } else {
    load.offset = offset_of(field(bits, 0, 12), adds);
  }
  return if_defined(load);
}

std::optional<Load> load_of_narrow(std::uint32_t bits) {
  const unsigned low_to = field(bits, 0, 3);
  const unsigned low_base = field(bits, 3, 3);
  if (field(bits, 11, 5) == 0b01101)
    return Load{low_to, low_base, std::int64_t{4} * field(bits, 6, 5)};
  if (field(bits, 9, 7) == 0b0101100) return Load{low_to, low_base, 0, field(bits, 6, 3)};
  const Load of_eight{field(bits, 8, 3), kSp, std::int64_t{4} * field(bits, 0, 8)};
  if (field(bits, 11, 5) == 0b10011) return of_eight;
  if (field(bits, 11, 5) == 0b01001) return Load{of_eight.to, kPc, of_eight.offset};
  return {};
}

// LDR (immediate, Thumb) T4 and LDR (register) T2: the lower half tells.
std::optional<Load> load_of_wide_small(std::uint32_t bits) {
  Load load{field(bits, 12, 4), field(bits, 16, 4)};
  if (!bit(bits, 11)) {
    if (field(bits, 6, 5) != 0) return {};
    load.index = field(bits, 0, 4);
    load.index_shift = field(bits, 4, 2);
    return if_defined(load);
  }
  const bool before = bit(bits, 10);
  const bool adds = bit(bits, 9);
  const bool writes_back = bit(bits, 8);
  const bool is_user_load = before && adds && !writes_back;
  if (is_user_load || (!before && !writes_back)) return {};
  load.offset = offset_of(field(bits, 0, 8), adds);
  load.writes_back = writes_back;
  load.post = !before;
  return if_defined(load);
}

std::optional<Load> load_of_wide(std::uint32_t bits) {
  if (field(bits, 24, 8) != 0xf8 || field(bits, 20, 3) != 5) return {};
  const bool has_twelve = bit(bits, 23);
  const unsigned base = field(bits, 16, 4);
  if (has_twelve || base == kPc) {
    return Load{field(bits, 12, 4), base, offset_of(field(bits, 0, 12), has_twelve)};
  }
  return load_of_wide_small(bits);
}

constexpr std::uint32_t rotated(std::uint32_t value, unsigned by) {
  return by == 0 ? value : value >> by | value << (32 - by);
}

// Data processing with an immediate, of those that leave the flags alone. [DDI 0406C, A5.2.3]
std::optional<Arithmetic> immediate_of_arm(std::uint32_t bits) {
  enum : std::uint32_t { kSub = 2, kAdd = 4, kMov = 13, kMvn = 15 };
  const std::uint32_t amount = rotated(field(bits, 0, 8), 2 * field(bits, 8, 4));
  const unsigned to = field(bits, 12, 4);
  const unsigned from = field(bits, 16, 4);
  switch (field(bits, 21, 4)) {
    case kSub:
      return Arithmetic{to, from, std::uint32_t{0} - amount};
    case kAdd:
      return Arithmetic{to, from, amount};
    case kMov:
      return Arithmetic{to, {}, amount};
    case kMvn:
      return Arithmetic{to, {}, ~amount};
    default:
      return {};
  }
}

std::optional<Arithmetic> arithmetic_of_arm(std::uint32_t bits) {
  const unsigned to = field(bits, 12, 4);
  if (bits >> 28 == 15 || to == kPc) return {};
  if (field(bits, 20, 8) == 0x30 || field(bits, 20, 8) == 0x34) {  // MOVW, MOVT
    const std::uint32_t half = field(bits, 16, 4) << 12 | field(bits, 0, 12);
    if (field(bits, 20, 8) == 0x30) return Arithmetic{to, {}, half};
    return Arithmetic{to, to, half << 16, true};
  }
  const bool sets_flags = bit(bits, 20);
  if (sets_flags) return {};
  if (field(bits, 25, 3) == 1) return immediate_of_arm(bits);
  if ((bits & 0x0fff0ff0) == 0x01a00000) return Arithmetic{to, field(bits, 0, 4)};  // MOV
  return {};
}

// MOV of registers, and ADD and SUB of sp: they leave the flags alone.
std::optional<Arithmetic> arithmetic_of_narrow(std::uint32_t bits) {
  const std::uint32_t seven = field(bits, 0, 7) * 4;
  if (field(bits, 7, 9) == 0b101100000) return Arithmetic{kSp, kSp, seven};
  if (field(bits, 7, 9) == 0b101100001) return Arithmetic{kSp, kSp, std::uint32_t{0} - seven};
  const unsigned to = field(bits, 8, 3);
  if (field(bits, 11, 5) == 0b10101) return Arithmetic{to, kSp, field(bits, 0, 8) * 4};
  if (field(bits, 11, 5) == 0b10100) return Arithmetic{to, kPc, field(bits, 0, 8) * 4};
  if (field(bits, 8, 8) == 0x46) {
    const unsigned high_to = field(bits, 7, 1) << 3 | field(bits, 0, 3);
    const unsigned from = field(bits, 3, 4);
    // Of pc it reads all bits, and writing it is a branch.
    if (high_to != kPc && from != kPc) return Arithmetic{high_to, from};
  }
  return {};
}

}  // namespace

std::string_view register_name(unsigned number) {
  static constexpr std::array<std::string_view, 16> kNames = {"r0",  "r1", "r2", "r3", "r4",  "r5",
                                                              "r6",  "r7", "r8", "r9", "r10", "r11",
                                                              "r12", "sp", "lr", "pc"};
  return kNames[number & 15];
}

bool Execution::is_thumb() const { return (cpsr_ & kThumbState) != 0; }
bool Execution::is_foreign() const { return (cpsr_ & (kJazelle | kBigEndian)) != 0; }

std::uint32_t Execution::it_state() const {
  if (!is_thumb()) return 0;
  return (cpsr_ & kItHigh) >> 8 | (cpsr_ & kItLow) >> 25;
}

bool Execution::executes(unsigned condition) const {
  return holds(in_it_block() ? it_state() >> 4 : condition);
}

// [DDI 0406C, A8.3, ConditionPassed()]
bool Execution::holds(unsigned condition) const {
  const bool n = bit(cpsr_, 31);
  const bool z = bit(cpsr_, 30);
  const bool c = bit(cpsr_, 29);
  const bool v = bit(cpsr_, 28);
  const std::array<bool, 8> results = {z, c, n, v, c && !z, n == v, n == v && !z, true};
  const bool inverts = (condition & 1) != 0 && condition != 15;
  return results[condition >> 1 & 7] != inverts;
}

std::uint32_t Execution::after() const {
  const std::uint32_t state = it_state();
  if (state == 0) return cpsr_;
  const std::uint32_t next = (state & 7) == 0 ? 0 : (state & 0xe0) | (state << 1 & 0x1f);
  return (cpsr_ & ~(kItHigh | kItLow)) | (next & 0xfc) << 8 | (next & 3) << 25;
}

Result<Instruction> fetch(VirtualMemory& memory, Va at, bool thumb) {
  if (!thumb) return Instruction{at, SWAT_TRY(read_as<std::uint32_t>(memory, at)), 4, false};
  const std::uint32_t first = SWAT_TRY(read_as<std::uint16_t>(memory, at));
  const bool is_wide = first >= 0xe800;  // [DDI 0406C, A6.1]
  if (!is_wide) return Instruction{at, first, 2, true};
  return Instruction{at, first << 16 | SWAT_TRY(read_as<std::uint16_t>(memory, at + 2)), 4, true};
}

std::optional<Load> load_of(const Instruction& instruction) {
  if (!instruction.thumb) return load_of_arm(instruction.bits);
  return instruction.size_bytes == 2 ? load_of_narrow(instruction.bits)
                                     : load_of_wide(instruction.bits);
}

std::optional<Arithmetic> arithmetic_of(const Instruction& instruction) {
  if (!instruction.thumb) return arithmetic_of_arm(instruction.bits);
  return instruction.size_bytes == 2 ? arithmetic_of_narrow(instruction.bits) : std::nullopt;
}

bool does_nothing(const Instruction& instruction) {
  if (!instruction.thumb) return (instruction.bits & 0x0fffffff) == 0x0320f000;  // NOP
  return instruction.size_bytes == 2 ? instruction.bits == 0xbf00 : instruction.bits == 0xf3af8000;
}

std::optional<RegisterBranch> register_branch_of(const Instruction& instruction) {
  const std::uint32_t bits = instruction.bits;
  if (instruction.thumb) {
    if (instruction.size_bytes != 2 || (bits & 0xff07) != 0x4700) return {};
    return RegisterBranch{field(bits, 3, 4), bit(bits, 7)};
  }
  if ((bits & 0x0fffffd0) != 0x012fff10 || bits >> 28 == 15) return {};
  return RegisterBranch{field(bits, 0, 4), bit(bits, 5)};
}

// What writes pc otherwise (a pop, say) is none that code before a call has; those that are left
// end a walk too late, over instructions that are no branch to a register that was just loaded.
bool is_branch(const Instruction& instruction) {
  const std::uint32_t bits = instruction.bits;
  if (register_branch_of(instruction)) return true;
  if (const auto load = load_of(instruction)) return load->to == kPc;
  if (!instruction.thumb) {
    const bool is_branch = field(bits, 25, 3) == 5;
    const bool loads_pc = field(bits, 25, 3) == 4 && bit(bits, 20) && bit(bits, 15);
    return is_branch || loads_pc || field(bits, 24, 4) == 15;
  }
  if (instruction.size_bytes == 4) {
    const bool is_branch = field(bits, 27, 5) == 0b11110 && bit(bits, 15);
    const bool loads_pc = field(bits, 25, 7) == 0b1110100 && bit(bits, 20) && bit(bits, 15);
    return is_branch || loads_pc;
  }
  const bool is_conditional = field(bits, 12, 4) == 0xd;
  const bool is_direct = field(bits, 11, 5) == 0b11100;
  const bool pops_pc = field(bits, 8, 8) == 0xbd;
  const bool compares_and_branches = (bits & 0xf500) == 0xb100;
  return is_conditional || is_direct || pops_pc || compares_and_branches;
}

}  // namespace swat::os::arm
