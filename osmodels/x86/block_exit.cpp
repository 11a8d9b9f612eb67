#include "osmodels/x86/block_exit.hpp"

#include <algorithm>

#include "osmodels/x86/disassembler.hpp"

namespace swat::os::x86 {
namespace {

constexpr int kMaxInstructions = 512;  // of a block of QEMU's [TCG_MAX_INSNS]

bool is_in(const Instruction& insn, x86_insn_group group) {
  const auto* const groups = std::begin(insn->detail->groups);
  return std::find(groups, groups + insn->detail->groups_count, group) !=
         groups + insn->detail->groups_count;
}

// Nothing follows it in the same run.
bool ends_run(const Instruction& insn) {
  constexpr x86_insn_group kEnds[] = {X86_GRP_JUMP, X86_GRP_CALL, X86_GRP_RET, X86_GRP_INT,
                                      X86_GRP_IRET};
  return std::any_of(std::begin(kEnds), std::end(kEnds),
                     [&](x86_insn_group group) { return is_in(insn, group); });
}

}  // namespace

bool jumps_to(VirtualMemory& code, Va from, Va to, unsigned bits) {
  const auto disassembler = Disassembler::open(bits);
  if (!disassembler) return false;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const auto insn = disassembler->at(code, from);
    if (!insn) return false;
    if (ends_run(*insn)) {
      const cs_x86& detail = insn->x86();
      return is_in(*insn, X86_GRP_JUMP) && detail.op_count == 1 &&
             detail.operands[0].type == X86_OP_IMM &&
             static_cast<std::uint64_t>(detail.operands[0].imm) == to.value;
    }
    from = insn->next();
  }
  return false;
}

}  // namespace swat::os::x86
