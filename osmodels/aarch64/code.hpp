// A64 instructions, as far as traps have to understand them: 32 bits each, fixed fields.
// [Arm ARM DDI 0487, C4 and C6.2]
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "symbols/address.hpp"

namespace swat::os::aarch64 {

inline constexpr std::uint64_t kInstructionBytes = 4;

// target.xml's name of a general register; 31 is "sp" or the zero register, by instruction.
[[nodiscard]] std::string_view register_name(unsigned number);
inline constexpr unsigned kZeroOrSp = 31;

// Registers loaded from memory by one instruction: LDR, LDUR and LDP of whole or half general
// registers, LDR (literal).
struct Load {
  unsigned count = 1;       // registers
  unsigned size_bytes = 8;  // of each
  std::array<unsigned, 2> to{};
  unsigned base = 0;     // 31: sp; not of a literal
  bool literal = false;  // `offset` counts from the instruction
  std::int64_t offset = 0;
  std::optional<unsigned> index;  // a register is added, too
  unsigned index_shift = 0;
  bool index_is_word = false;  // its low half, without a sign
  bool writes_back = false;    // base becomes base + offset
  bool post = false;           // and the access is at base, without the offset
};
[[nodiscard]] std::optional<Load> load_of(std::uint32_t word);

// The page that ADRP at `at` gives, and into which register.
struct PageAddress {
  unsigned to;
  Va page;
};
[[nodiscard]] std::optional<PageAddress> adrp_of(std::uint32_t word, Va at);

// ADD or SUB (immediate) of whole registers; 31 is sp.
struct AddImmediate {
  unsigned to;
  unsigned from;
  std::uint64_t amount;  // modulo 2^64
};
[[nodiscard]] std::optional<AddImmediate> add_of(std::uint32_t word);

// MOV between whole registers (ORR with the zero register); 31 is the zero register.
struct Move {
  unsigned to;
  unsigned from;
};
[[nodiscard]] std::optional<Move> move_of(std::uint32_t word);
// The same of the low halves, which zeroes the upper one of `to`.
[[nodiscard]] std::optional<Move> word_move_of(std::uint32_t word);

// MOVZ of the lowest 16 bits: all that `to` holds then.
struct Constant {
  unsigned to;
  std::uint32_t value;
};
[[nodiscard]] std::optional<Constant> constant_of(std::uint32_t word);

// BR and BLR: through which register. B and BL are no such branches.
struct RegisterBranch {
  unsigned through;
  bool links;
};
[[nodiscard]] std::optional<RegisterBranch> register_branch_of(std::uint32_t word);
// B, BL, conditional ones, RET, exceptions: what comes next may be elsewhere.
[[nodiscard]] bool is_branch(std::uint32_t word);
// Where B and BL lead.
[[nodiscard]] std::optional<Va> direct_branch_of(std::uint32_t word, Va at);

}  // namespace swat::os::aarch64
