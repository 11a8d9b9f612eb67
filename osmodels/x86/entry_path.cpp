#include "osmodels/x86/entry_path.hpp"

#include <algorithm>
#include <optional>

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
std::vector<Va> behind_block(const Disassembler& disassembler, VirtualMemory& kernel, Va at) {
  for (int i = 0; i < kMaxInstructions; ++i) {
    const auto insn = disassembler.at(kernel, at);
    if (!insn) return {};
    const auto next = insn->only_successor();
    if (!next) {
      const auto target = insn->jump_target();
      return target ? std::vector{insn->next(), *target} : std::vector<Va>{};
    }
    if (next != insn->next() || insn->writes_cr3()) return {*next};
    at = *next;
  }
  return {};
}

// KUSER_SHARED_DATA.SystemCallReturn, as the kernel and as processes have it mapped.
constexpr std::uint64_t kSystemCallReturns[] = {0xffdf'0304, 0x7ffe'0304};

// The word, if it is that which `insn` pushes.
std::optional<Va> pushed_system_call_return(const Instruction& insn) {
  if (insn->id != X86_INS_PUSH || insn.x86().operands[0].type != X86_OP_MEM) return {};
  const x86_op_mem& mem = insn.x86().operands[0].mem;
  const bool is_flat = mem.segment == X86_REG_INVALID || mem.segment == X86_REG_DS;
  if (!is_flat || mem.base != X86_REG_INVALID || mem.index != X86_REG_INVALID) return {};
  const std::uint64_t at = static_cast<std::uint64_t>(mem.disp) & 0xffff'ffff;
  const bool is_known =
      std::ranges::find(kSystemCallReturns, at) != std::ranges::end(kSystemCallReturns);
  return is_known ? std::optional(Va{at}) : std::nullopt;
}

std::uint64_t added_to_edx(const Instruction& insn) {
  const cs_x86_op* operands = insn.x86().operands;
  const bool is_it = insn->id == X86_INS_ADD && operands[0].type == X86_OP_REG &&
                     operands[0].reg == X86_REG_EDX && operands[1].type == X86_OP_IMM;
  return is_it ? static_cast<std::uint64_t>(operands[1].imm) : 0;
}

}  // namespace

Result<EntryStore> find_entry_store(VirtualMemory& kernel, Va entry) {
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(64));
  Va at = entry;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const Instruction insn = SWAT_TRY(disassembler.at(kernel, at));
    if (auto store = as_gs_store(insn)) {
      store->late_pcs = behind_block(disassembler, kernel, store->stop_pc);
      return *store;
    }
    const auto next = insn.only_successor();
    if (!next) break;
    at = *next;
  }
  return fail(Errc::kNotFound, "no store through gs on the entry path", entry.value);
}

Result<EntryRead> find_entry_read(VirtualMemory& kernel, Va entry) {
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(32));
  std::uint64_t advanced = 0;
  Va at = entry;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const Instruction insn = SWAT_TRY(disassembler.at(kernel, at));
    if (const auto word = pushed_system_call_return(insn)) {
      return EntryRead{*word, 4, insn.next(), behind_block(disassembler, kernel, insn.next()),
                       advanced};
    }
    advanced += added_to_edx(insn);
    const auto next = insn.only_successor();
    if (!next) break;
    at = *next;
  }
  return fail(Errc::kNotFound, "no push of SystemCallReturn on the entry path", entry.value);
}

}  // namespace swat::os::x86
