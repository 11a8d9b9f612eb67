#include "osmodels/x86/first_instruction.hpp"

#include "osmodels/x86/disassembler.hpp"

namespace swat::os::x86 {
namespace {

constexpr std::uint64_t kDirectionFlag = 1ULL << 10;
constexpr std::uint64_t kAlignmentCheck = 1ULL << 18;

// target.xml's name of a full-width general register; "" for parts of registers and the rest.
std::string_view full_register(x86_reg reg, unsigned bits) {
  struct Row {
    x86_reg id;
    unsigned bits;
    std::string_view name;
  };
  static constexpr Row kRows[] = {
      {X86_REG_RAX, 64, "rax"}, {X86_REG_RBX, 64, "rbx"}, {X86_REG_RCX, 64, "rcx"},
      {X86_REG_RDX, 64, "rdx"}, {X86_REG_RSI, 64, "rsi"}, {X86_REG_RDI, 64, "rdi"},
      {X86_REG_RBP, 64, "rbp"}, {X86_REG_RSP, 64, "rsp"}, {X86_REG_R8, 64, "r8"},
      {X86_REG_R9, 64, "r9"},   {X86_REG_R10, 64, "r10"}, {X86_REG_R11, 64, "r11"},
      {X86_REG_R12, 64, "r12"}, {X86_REG_R13, 64, "r13"}, {X86_REG_R14, 64, "r14"},
      {X86_REG_R15, 64, "r15"}, {X86_REG_EAX, 32, "eax"}, {X86_REG_EBX, 32, "ebx"},
      {X86_REG_ECX, 32, "ecx"}, {X86_REG_EDX, 32, "edx"}, {X86_REG_ESI, 32, "esi"},
      {X86_REG_EDI, 32, "edi"}, {X86_REG_EBP, 32, "ebp"}, {X86_REG_ESP, 32, "esp"},
      {X86_REG_CR3, 64, "cr3"},
  };
  for (const Row& row : kRows) {
    if (row.id == reg && row.bits == bits) return row.name;
  }
  return {};
}

std::string_view operand_register(const Instruction& insn, int index, unsigned bits) {
  if (index >= insn.x86().op_count) return {};
  const cs_x86_op& op = insn.x86().operands[index];
  return op.type == X86_OP_REG ? full_register(op.reg, bits) : std::string_view{};
}

std::string_view stack_register(unsigned bits) { return bits == 64 ? "rsp" : "esp"; }

// `sub $imm,%rsp` sets flags too; no compiler lets a function's entry code test them, but a syscall
// entry might, so it is taken only where nothing was asked of the flags: functions.
std::optional<Skip> stack_adjustment(const Instruction& insn, unsigned bits, Skip skip) {
  if (operand_register(insn, 0, bits) != stack_register(bits) || insn.x86().op_count != 2)
    return {};
  const cs_x86_op& by = insn.x86().operands[1];
  if (by.type != X86_OP_IMM) return {};
  skip.effect = Skip::Effect::kAddToStack;
  skip.amount = std::uint64_t{0} - static_cast<std::uint64_t>(by.imm);
  return skip;
}

std::optional<Skip> push(const Instruction& insn, unsigned bits, Skip skip) {
  skip.from = operand_register(insn, 0, bits);
  if (skip.from.empty()) return {};
  skip.effect = Skip::Effect::kPush;
  return skip;
}

std::optional<Skip> copy(const Instruction& insn, unsigned bits, Skip skip) {
  skip.to = operand_register(insn, 0, bits);
  skip.from = operand_register(insn, 1, bits);
  if (skip.to.empty() || skip.from.empty() || skip.to == "cr3") return {};
  skip.effect = Skip::Effect::kCopy;
  return skip;
}

std::optional<Skip> nothing(const Instruction&, unsigned, Skip skip) { return skip; }

std::optional<Skip> clear_direction(const Instruction&, unsigned, Skip skip) {
  skip.effect = Skip::Effect::kClearFlags;
  skip.amount = kDirectionFlag;
  return skip;
}

std::optional<Skip> clear_alignment(const Instruction&, unsigned, Skip skip) {
  skip.effect = Skip::Effect::kClearFlags;
  skip.amount = kAlignmentCheck;
  return skip;
}

std::optional<Skip> swap_gs(const Instruction&, unsigned, Skip skip) {
  skip.effect = Skip::Effect::kSwapGs;
  return skip;
}

std::optional<Skip> jump(const Instruction& insn, unsigned, Skip skip) {
  if (insn.x86().operands[0].type != X86_OP_IMM) return {};
  skip.next = Va{static_cast<std::uint64_t>(insn.x86().operands[0].imm)};
  return skip;
}

std::optional<Skip> call(const Instruction& insn, unsigned bits, Skip skip) {
  skip.effect = Skip::Effect::kCall;
  skip.amount = insn.next().value;
  return jump(insn, bits, skip);
}

struct Row {
  unsigned id;
  std::optional<Skip> (*understand)(const Instruction&, unsigned bits, Skip);
};

// A new instruction is a new row.
constexpr Row kRows[] = {
    {X86_INS_ENDBR64, nothing},
    {X86_INS_ENDBR32, nothing},
    {X86_INS_NOP, nothing},
    {X86_INS_CLD, clear_direction},
    {X86_INS_CLAC, clear_alignment},
    {X86_INS_SWAPGS, swap_gs},
    {X86_INS_PUSH, push},
    {X86_INS_MOV, copy},
    {X86_INS_SUB, stack_adjustment},
    {X86_INS_JMP, jump},
    {X86_INS_CALL, call},
};

Result<> push_word(const Skip& skip, VcpuState& vcpu, std::uint64_t value) {
  const std::string_view sp = stack_register(skip.word_bytes * 8);
  const Va top = Va{SWAT_TRY(vcpu.reg(sp))} - skip.word_bytes;
  SWAT_CHECK(vcpu.store(top, value, skip.word_bytes));
  return vcpu.set_reg(sp, top.value);
}

Result<> swap_gs_bases(VcpuState& vcpu) {
  const std::uint64_t gs = SWAT_TRY(vcpu.reg("gs_base"));
  const std::uint64_t kernel_gs = SWAT_TRY(vcpu.reg("k_gs_base"));
  SWAT_CHECK(vcpu.set_reg("gs_base", kernel_gs));
  return vcpu.set_reg("k_gs_base", gs);
}

}  // namespace

Result<Skip> understand(VirtualMemory& memory, Va at, unsigned bits) {
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(bits));
  const Instruction insn = SWAT_TRY(disassembler.at(memory, at));
  for (const Row& row : kRows) {
    if (row.id != insn->id) continue;
    const Skip plain{Skip::Effect::kNone, insn.next(), bits / 8, {}, {}, 0};
    if (const auto skip = row.understand(insn, bits, plain)) return *skip;
  }
  return fail(Errc::kUnsupported, std::string("not emulated: ") + insn->mnemonic, at.value);
}

Result<> Skip::apply(VcpuState& vcpu) const {
  switch (effect) {
    case Effect::kNone:
      return {};
    case Effect::kPush:
      return push_word(*this, vcpu, SWAT_TRY(vcpu.reg(from)));
    case Effect::kCall:
      return push_word(*this, vcpu, amount);
    case Effect::kAddToStack: {
      const std::string_view sp = stack_register(word_bytes * 8);
      return vcpu.set_reg(sp, SWAT_TRY(vcpu.reg(sp)) + amount);
    }
    case Effect::kCopy:
      return vcpu.set_reg(to, SWAT_TRY(vcpu.reg(from)));
    case Effect::kZero:
      return vcpu.set_reg(to, 0);
    case Effect::kClearFlags:
      return vcpu.set_reg("eflags", SWAT_TRY(vcpu.reg("eflags")) & ~amount);
    case Effect::kSwapGs:
      return swap_gs_bases(vcpu);
  }
  return fail(Errc::kUnsupported, "unknown effect");
}

}  // namespace swat::os::x86
