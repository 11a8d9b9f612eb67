#include "osmodels/x86/exit_path.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "osmodels/x86/disassembler.hpp"
#include "osmodels/x86/first_instruction.hpp"

namespace swat::os::x86 {
namespace {

constexpr std::size_t kMaxInstructions = 1024;
constexpr int kMaxToBreakpoint = 16;
constexpr int kMaxToEnd = 32;

bool in_group(const Instruction& insn, std::uint8_t group) {
  const cs_detail& detail = *insn->detail;
  return std::find(detail.groups, detail.groups + detail.groups_count, group) !=
         detail.groups + detail.groups_count;
}

// A word of the stack, `mov disp(%rsp),%...`.
bool is_on_stack(const cs_x86_op& operand) {
  return operand.type == X86_OP_MEM && operand.mem.index == X86_REG_INVALID &&
         (operand.mem.base == X86_REG_RSP || operand.mem.base == X86_REG_ESP);
}

bool loads_result_64(const Instruction& insn) {
  const cs_x86& x86 = insn.x86();
  if (x86.op_count == 0 || x86.operands[0].type != X86_OP_REG) return false;
  if (x86.operands[0].reg != X86_REG_RAX) return false;
  return insn->id == X86_INS_POP || (insn->id == X86_INS_MOV && is_on_stack(x86.operands[1]));
}

// Since 4.16 all saved registers are copied to another stack, and SYSEXIT's way takes eax there by
// any register. [arch/x86/entry/entry_32.S, SWITCH_TO_ENTRY_STACK, entry_SYSENTER_32]
bool loads_result_32(const Instruction& insn) {
  constexpr std::int64_t kAx = 24;  // in struct pt_regs
  const cs_x86& x86 = insn.x86();
  if (insn->id == X86_INS_MOVSD) return x86.prefix[0] == X86_PREFIX_REP;
  if (x86.op_count == 0 || x86.operands[0].type != X86_OP_REG) return false;
  if (insn->id == X86_INS_POP) return x86.operands[0].reg == X86_REG_EAX;
  return insn->id == X86_INS_MOV && is_on_stack(x86.operands[1]) && x86.operands[1].mem.disp == kAx;
}

// `testb $3, CS(%rsp)`: zero means that the saved registers are the kernel's own, and the path that
// follows goes back there, with no syscall's result. [arch/x86/entry/entry_64.S, error_return]
bool asks_for_privilege(const Instruction& insn) {
  constexpr std::int64_t kPrivilege = 3;
  const cs_x86& x86 = insn.x86();
  return insn->id == X86_INS_TEST && x86.operands[0].type == X86_OP_MEM &&
         x86.operands[0].mem.base == X86_REG_RSP && x86.operands[1].type == X86_OP_IMM &&
         x86.operands[1].imm == kPrivilege;
}

class ExitFinder {
 public:
  ExitFinder(const Disassembler& disassembler, VirtualMemory& kernel, unsigned bits)
      : disassembler_(disassembler), kernel_(kernel), bits_(bits) {}

  std::vector<ExitPoint> find(Va entry) {
    visit({entry, false});
    while (!open_.empty() && visited_.size() < kMaxInstructions) {
      const Place place = open_.back();
      open_.pop_back();
      // What cannot be read or decoded is another path's end, not this search's.
      if (const auto insn = disassembler_.at(kernel_, place.at)) walk(*insn, place.called);
    }
    std::sort(found_.begin(), found_.end(),
              [](const ExitPoint& a, const ExitPoint& b) { return a.load < b.load; });
    return std::move(found_);
  }

 private:
  struct Place {
    Va at;
    bool called;  // the handler may have run
    auto operator<=>(const Place&) const = default;
  };

  void visit(Place place) {
    if (visited_.insert(place).second) open_.push_back(place);
  }

  void walk(const Instruction& insn, bool called) {
    if (called && (bits_ == 32 ? loads_result_32(insn) : loads_result_64(insn))) {
      add(insn);
      return;
    }
    if (in_group(insn, X86_GRP_CALL)) return visit({insn.next(), true});
    if (asks_for_privilege(insn)) {
      if (const auto user = user_branch(insn.next())) return visit({*user, called});
    }
    if (const auto target = insn.jump_target()) {
      visit({*target, called});
      if (insn->id != X86_INS_JMP) visit({insn.next(), called});
      return;
    }
    if (const auto next = insn.only_successor()) visit({*next, called});
  }

  // Where the conditional jump at `at` leads when the registers are a user's.
  std::optional<Va> user_branch(Va at) {
    const auto jump = disassembler_.at(kernel_, at);
    if (!jump) return {};
    if (jump.value()->id == X86_INS_JE) return jump->next();
    return jump.value()->id == X86_INS_JNE ? jump->jump_target() : std::nullopt;
  }

  void add(const Instruction& load) {
    const Va at{load->address};
    const bool is_repeated = load.x86().prefix[0] == X86_PREFIX_REP;
    const Va loaded = is_repeated ? at : load.next();
    const auto known = [&](const ExitPoint& point) { return point.load == at; };
    if (std::none_of(found_.begin(), found_.end(), known)) {
      found_.push_back({at, loaded, ends_of_block(load.next()), first_skippable(load.next())});
    }
  }

  // QEMU ends a block behind a jump, which may have two ends, and behind a write of CR3.
  // [target/i386/tcg/translate.c]
  std::vector<Va> ends_of_block(Va at) {
    for (int i = 0; i < kMaxToEnd; ++i) {
      const auto insn = disassembler_.at(kernel_, at);
      if (!insn) break;
      if (const auto target = insn->jump_target()) {
        if (insn.value()->id == X86_INS_JMP) return {*target};
        return {*target, insn->next()};
      }
      const auto next = insn->only_successor();
      if (!next) break;
      if (insn->writes_cr3()) return {*next};
      at = *next;
    }
    return {};
  }

  Va first_skippable(Va from) {
    Va at = from;
    for (int i = 0; i < kMaxToBreakpoint; ++i) {
      if (understand(kernel_, at, bits_)) return at;
      const auto insn = disassembler_.at(kernel_, at);
      const auto next = insn ? insn->only_successor() : std::nullopt;
      if (!next) break;
      at = *next;
    }
    return from;
  }

  const Disassembler& disassembler_;
  VirtualMemory& kernel_;
  unsigned bits_;
  std::set<Place> visited_;
  std::vector<Place> open_;
  std::vector<ExitPoint> found_;
};

}  // namespace

Result<std::vector<ExitPoint>> find_exit_points(VirtualMemory& kernel, Va entry, unsigned bits) {
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(bits));
  auto points = ExitFinder(disassembler, kernel, bits).find(entry);
  if (points.empty()) {
    return fail(Errc::kNotFound, "no load of the result behind this entry", entry.value);
  }
  return points;
}

}  // namespace swat::os::x86
