#include "osmodels/x86/entry_path.hpp"

#include "osmodels/x86/disassembler.hpp"

namespace swat::os::x86 {
namespace {

constexpr int kMaxInstructions = 32;

// The gs offset that `insn` stores to, when it is `mov %gs:disp, reg`.
std::optional<EntryStore> as_gs_store(const Instruction& insn) {
  if (insn->id != X86_INS_MOV || insn.x86().op_count != 2) return {};
  if (insn.x86().operands[1].type != X86_OP_REG) return {};
  const auto offset = insn.gs_offset(0);
  if (!offset) return {};
  return EntryStore{*offset, insn.x86().operands[0].size, Va{insn->address}, insn.next(), {}};
}

// QEMU ends a block behind a jump and behind a write of CR3. [target/i386/tcg/translate.c]
std::optional<Va> end_of_block(const Disassembler& disassembler, VirtualMemory& kernel, Va at) {
  for (int i = 0; i < kMaxInstructions; ++i) {
    const auto insn = disassembler.at(kernel, at);
    if (!insn) return {};
    const auto next = insn->only_successor();
    if (!next) return {};
    if (next != insn->next() || insn->writes_cr3()) return next;
    at = *next;
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
    const auto next = insn.only_successor();
    if (!next) break;
    at = *next;
  }
  return fail(Errc::kNotFound, "no store through gs on the entry path", entry.value);
}

}  // namespace swat::os::x86
