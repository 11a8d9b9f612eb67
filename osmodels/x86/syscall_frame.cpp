#include "osmodels/x86/syscall_frame.hpp"

#include <optional>

#include "osmodels/x86/disassembler.hpp"

namespace swat::os::x86 {
namespace {

constexpr int kMaxInstructions = 96;
constexpr std::uint64_t kWord = 8;

// Words of struct pt_regs, lowest first: r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax
// ip cs flags sp ss. Since 2.6.0, and ABI (ptrace). [arch/x86/include/asm/ptrace.h]
constexpr std::uint64_t kAxWord = 10;
constexpr std::uint64_t kOrigAxWord = 15;

bool is_register(const cs_x86_op& op, x86_reg reg) {
  return op.type == X86_OP_REG && op.reg == reg;
}

// The stack pointer and where rax has been put, relative to the per-CPU word's value.
class StackTracker {
 public:
  // False when the instruction moves the stack pointer to where nobody can tell.
  bool follow(const Instruction& insn) {
    const cs_x86& x86 = insn.x86();
    if (x86.op_count == 2 && insn->id == X86_INS_MOV && is_register(x86.operands[0], X86_REG_RSP)) {
      slot_ = insn.gs_offset(1);
      offset_ = 0;
      saved_.reset();
      return true;  // until it is loaded from there, rsp holds the user's, or scratch
    }
    if (!slot_) return true;
    if (insn->id == X86_INS_PUSH) return push(x86.operands[0]);
    if (x86.op_count == 2) return two_operands(static_cast<x86_insn>(insn->id), x86);
    return x86.op_count == 0 || !is_register(x86.operands[0], X86_REG_RSP);
  }

  // The caller's rax is what is saved uppermost, as orig_ax: Linux 3.x puts it into ax as well.
  [[nodiscard]] std::optional<SyscallFrame> frame() const {
    if (!slot_ || !saved_) return {};
    const std::uint64_t bottom = *saved_ - kOrigAxWord * kWord;
    return SyscallFrame{*slot_, bottom + kAxWord * kWord, bottom};
  }

 private:
  bool push(const cs_x86_op& what) {
    offset_ -= kWord;
    if (is_register(what, X86_REG_RAX)) save_at(offset_);
    return true;
  }

  bool two_operands(x86_insn id, const cs_x86& x86) {
    const cs_x86_op& to = x86.operands[0];
    const cs_x86_op& from = x86.operands[1];
    if (is_register(to, X86_REG_RSP)) {
      if ((id != X86_INS_SUB && id != X86_INS_ADD) || from.type != X86_OP_IMM) return false;
      const auto amount = static_cast<std::uint64_t>(from.imm);
      offset_ += id == X86_INS_ADD ? amount : 0 - amount;
      return true;
    }
    const bool on_stack = to.type == X86_OP_MEM && to.mem.base == X86_REG_RSP &&
                          to.mem.index == X86_REG_INVALID && to.mem.segment == X86_REG_INVALID;
    if (id == X86_INS_MOV && on_stack && is_register(from, X86_REG_RAX)) {
      save_at(offset_ + static_cast<std::uint64_t>(to.mem.disp));
    }
    return true;
  }

  void save_at(std::uint64_t offset) {
    const auto height = [](std::uint64_t at) { return static_cast<std::int64_t>(at); };
    if (!saved_ || height(offset) > height(*saved_)) saved_ = offset;
  }

  std::optional<std::uint64_t> slot_;   // gs offset that rsp was loaded from
  std::uint64_t offset_ = 0;            // of rsp from the loaded value
  std::optional<std::uint64_t> saved_;  // of rax from the same
};

}  // namespace

Result<SyscallFrame> find_syscall_frame(VirtualMemory& kernel, Va entry) {
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(64));
  StackTracker stack;
  Va at = entry;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const auto insn = disassembler.at(kernel, at);
    if (!insn && !stack.frame()) return tl::unexpected(insn.error());
    const auto next = insn ? insn->only_successor() : std::nullopt;
    if (!next || !stack.follow(*insn)) break;
    at = *next;
  }
  if (const auto frame = stack.frame()) return *frame;
  return fail(Errc::kNotFound, "the entry path saves rax to no stack that is known", entry.value);
}

Result<std::uint64_t> pushed_by_int80(VirtualMemory& kernel, Va entry) {
  constexpr std::uint64_t kPushedByCpu = 5;  // ss, esp, eflags, cs, eip
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(32));
  std::uint64_t words = kPushedByCpu;
  Va at = entry;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const Instruction insn = SWAT_TRY(disassembler.at(kernel, at));
    if (insn->id == X86_INS_PUSH) ++words;
    if (insn->id == X86_INS_POP) --words;
    if (insn->id == X86_INS_PUSH && is_register(insn.x86().operands[0], X86_REG_EBX)) {
      return words * 4;
    }
    at = insn.only_successor().value_or(insn.next());
  }
  return fail(Errc::kNotFound, "the entry of int $0x80 does not save ebx", entry.value);
}

}  // namespace swat::os::x86
