#include "osmodels/x86/disassembler.hpp"

#include <algorithm>

namespace swat::os::x86 {
namespace {

bool leaves_the_path(x86_insn_group group) {
  switch (group) {
    case X86_GRP_JUMP:
    case X86_GRP_CALL:
    case X86_GRP_RET:
    case X86_GRP_INT:
    case X86_GRP_IRET:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<Va> Instruction::jump_target() const {
  const cs_detail& detail = *insn_->detail;
  const bool jumps = std::any_of(detail.groups, detail.groups + detail.groups_count,
                                 [](std::uint8_t group) { return group == X86_GRP_JUMP; });
  if (!jumps || detail.x86.op_count != 1 || detail.x86.operands[0].type != X86_OP_IMM) return {};
  return Va{static_cast<std::uint64_t>(detail.x86.operands[0].imm)};
}

std::optional<Va> Instruction::only_successor() const {
  if (insn_->id == X86_INS_JMP) return jump_target();
  const cs_detail& detail = *insn_->detail;
  const bool leaves = std::any_of(
      detail.groups, detail.groups + detail.groups_count,
      [](std::uint8_t group) { return leaves_the_path(static_cast<x86_insn_group>(group)); });
  return leaves ? std::nullopt : std::optional(next());
}

bool Instruction::writes_cr3() const {
  const cs_x86_op& to = x86().operands[0];
  return insn_->id == X86_INS_MOV && to.type == X86_OP_REG && to.reg == X86_REG_CR3;
}

std::optional<std::uint64_t> Instruction::gs_offset(std::size_t index) const {
  if (index >= x86().op_count) return {};
  const cs_x86_op& operand = x86().operands[index];
  if (operand.type != X86_OP_MEM || operand.mem.segment != X86_REG_GS) return {};
  if (operand.mem.index != X86_REG_INVALID) return {};
  const auto displacement = static_cast<std::uint64_t>(operand.mem.disp);
  if (operand.mem.base == X86_REG_RIP) return displacement + next().value;
  if (operand.mem.base != X86_REG_INVALID) return {};
  return displacement;
}

Result<Disassembler> Disassembler::open(unsigned bits) {
  std::unique_ptr<csh, Close> handle(new csh{});
  if (cs_open(CS_ARCH_X86, bits == 32 ? CS_MODE_32 : CS_MODE_64, handle.get()) != CS_ERR_OK) {
    return fail(Errc::kUnsupported, "Capstone cannot disassemble x86");
  }
  cs_option(*handle, CS_OPT_DETAIL, CS_OPT_ON);
  return Disassembler(std::move(handle));
}

Result<Instruction> Disassembler::at(VirtualMemory& memory, Va address) const {
  constexpr std::size_t kLongest = 15;  // [Intel SDM vol. 2, 2.3.11]
  constexpr std::uint64_t kPage = 4096;
  std::array<std::byte, kLongest> code;
  std::size_t size = kLongest;
  // The next page may be missing although the instruction ends before it.
  if (!memory.read(address, code)) {
    size = std::min<std::size_t>(size, kPage - address.value % kPage);
    SWAT_CHECK(memory.read(address, std::span(code).first(size)));
  }
  cs_insn* insn = nullptr;
  const auto* raw = reinterpret_cast<const std::uint8_t*>(code.data());
  if (cs_disasm(*handle_, raw, size, address.value, 1, &insn) != 1) {
    return fail(Errc::kBadImage, "no instruction", address.value);
  }
  return Instruction(insn);
}

}  // namespace swat::os::x86
