#include "osmodels/x86/entry_path.hpp"

#include "osmodels/x86/disassembler.hpp"

namespace swat::os::x86 {
namespace {

constexpr int kMaxInstructions = 32;

// The gs offset that `insn` stores to, when it is `mov %gs:disp, reg`. gs:disp(%rip) is what
// kernels since 6.15 use: the displacement counts from the next instruction.
std::optional<EntryStore> as_gs_store(const Instruction& insn) {
  if (insn->id != X86_INS_MOV || insn.x86().op_count != 2) return {};
  const cs_x86_op& to = insn.x86().operands[0];
  const cs_x86_op& from = insn.x86().operands[1];
  if (to.type != X86_OP_MEM || from.type != X86_OP_REG) return {};
  if (to.mem.segment != X86_REG_GS || to.mem.index != X86_REG_INVALID) return {};
  std::uint64_t offset = static_cast<std::uint64_t>(to.mem.disp);
  if (to.mem.base == X86_REG_RIP) {
    offset += insn.next().value;
  } else if (to.mem.base != X86_REG_INVALID) {
    return {};
  }
  return EntryStore{offset, to.size, Va{insn->address}, insn.next(), {}};
}

bool ends_path(const Instruction& insn) {
  for (std::uint8_t i = 0; i < insn->detail->groups_count; ++i) {
    switch (insn->detail->groups[i]) {
      case X86_GRP_JUMP:
      case X86_GRP_CALL:
      case X86_GRP_RET:
      case X86_GRP_INT:
      case X86_GRP_IRET:
        return true;
      default:
        break;
    }
  }
  return false;
}

bool writes_control_register(const Instruction& insn) {
  const cs_x86_op& to = insn.x86().operands[0];
  return insn->id == X86_INS_MOV && to.type == X86_OP_REG && to.reg == X86_REG_CR3;
}

// QEMU ends a block behind a jump and behind a write of CR3. [target/i386/tcg/translate.c]
std::optional<Va> end_of_block(const Disassembler& disassembler, VirtualMemory& kernel, Va at) {
  for (int i = 0; i < kMaxInstructions; ++i) {
    const auto insn = disassembler.at(kernel, at);
    if (!insn) return {};
    if (insn.value()->id == X86_INS_JMP && insn->x86().operands[0].type == X86_OP_IMM) {
      return Va{static_cast<std::uint64_t>(insn->x86().operands[0].imm)};
    }
    if (writes_control_register(*insn)) return insn->next();
    if (ends_path(*insn)) return {};
    at = insn->next();
  }
  return {};
}

}  // namespace

Result<EntryStore> find_entry_store(VirtualMemory& kernel, Va entry) {
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(64));
  Va at = entry;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const Instruction insn = SWAT_TRY(disassembler.at(kernel, at));
    if (auto store = as_gs_store(insn)) {
      store->late_pc = end_of_block(disassembler, kernel, store->stop_pc);
      return *store;
    }
    at = insn.next();
    if (insn->id == X86_INS_JMP && insn.x86().operands[0].type == X86_OP_IMM) {
      at = Va{static_cast<std::uint64_t>(insn.x86().operands[0].imm)};
    } else if (ends_path(insn)) {
      break;
    }
  }
  return fail(Errc::kNotFound, "no store through gs on the entry path", entry.value);
}

}  // namespace swat::os::x86
