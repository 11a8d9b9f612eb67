// A32 and T32 instructions, as far as traps have to understand them.
// [Arm Architecture Reference Manual ARMv7-A and ARMv7-R, DDI 0406C, A5, A6 and A8]
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "symbols/memory.hpp"

namespace swat::os::arm {

inline constexpr unsigned kSp = 13;
inline constexpr unsigned kLr = 14;
inline constexpr unsigned kPc = 15;

// target.xml's name of a core register.
[[nodiscard]] std::string_view register_name(unsigned number);

// An address of code that says by bit 0 whether the code is Thumb, as BX, BLX and loads of pc take
// it. [DDI 0406C, A2.3.1]
inline constexpr std::uint64_t kThumbBit = 1;

// Bits of CPSR that decide what an instruction is and whether it is executed. [DDI 0406C, B1.3.3]
class Execution {
 public:
  explicit Execution(std::uint64_t cpsr) : cpsr_(static_cast<std::uint32_t>(cpsr)) {}

  [[nodiscard]] bool is_thumb() const;
  // Java or ThumbEE code, or big-endian data: nothing of ours reads those.
  [[nodiscard]] bool is_foreign() const;
  // Of an instruction whose own condition is `condition`; that of an IT block goes before.
  [[nodiscard]] bool executes(unsigned condition) const;
  // Inside an IT block arithmetic of 16 bits leaves the flags alone.
  [[nodiscard]] bool in_it_block() const { return it_state() != 0; }
  // CPSR after one more instruction. [DDI 0406C, A2.5.2, ITAdvance()]
  [[nodiscard]] std::uint32_t after() const;

 private:
  [[nodiscard]] std::uint32_t it_state() const;
  [[nodiscard]] bool holds(unsigned condition) const;

  std::uint32_t cpsr_;
};

inline constexpr unsigned kAlways = 14;  // the condition AL

struct Instruction {
  Va at;
  std::uint32_t bits = 0;  // a wide Thumb instruction's first half is the upper one
  unsigned size_bytes = 4;
  bool thumb = false;

  // Its own; kAlways of Thumb, where the IT block has it.
  [[nodiscard]] unsigned condition() const { return thumb ? kAlways : bits >> 28; }
  [[nodiscard]] Va next() const { return at + size_bytes; }
  // What it reads from pc: two instructions ahead. [DDI 0406C, A2.3]
  [[nodiscard]] Va pc() const { return at + (thumb ? 4 : 8); }
};
[[nodiscard]] Result<Instruction> fetch(VirtualMemory& memory, Va at, bool thumb);

// LDR of one word.
struct Load {
  unsigned to;
  unsigned base;  // kPc: its value is aligned to a word
  std::int64_t offset = 0;
  std::optional<unsigned> index = {};  // a register is added, too
  unsigned index_shift = 0;
  bool writes_back = false;  // base becomes base + offset + index
  bool post = false;         // and the access is at base itself
};
[[nodiscard]] std::optional<Load> load_of(const Instruction& instruction);

// A register that becomes a constant, or another register and a constant; no flags are set.
struct Arithmetic {
  unsigned to;
  std::optional<unsigned> from = {};  // kPc: the instruction's pc(), aligned to a word
  std::uint32_t amount = 0;           // added, modulo 2^32
  bool keeps_low_half = false;        // MOVT: the low half of `from` stays, instead of all of it
};
[[nodiscard]] std::optional<Arithmetic> arithmetic_of(const Instruction& instruction);

[[nodiscard]] bool does_nothing(const Instruction& instruction);

// BX and BLX through a register.
struct RegisterBranch {
  unsigned through;
  bool links;
};
[[nodiscard]] std::optional<RegisterBranch> register_branch_of(const Instruction& instruction);
// Whatever may go on elsewhere: branches, returns, exceptions, loads of pc.
[[nodiscard]] bool is_branch(const Instruction& instruction);

}  // namespace swat::os::arm
