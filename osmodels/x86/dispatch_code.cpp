#include "osmodels/x86/dispatch_code.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "osmodels/x86/disassembler.hpp"

namespace swat::os::x86 {
namespace {

constexpr std::uint64_t kMaxCode = 64 << 10;

// Code that has been read once, so that looking at it instruction by instruction costs no more.
class CodeCopy final : public VirtualMemory {
 public:
  // As far as it can be read.
  static Result<CodeCopy> of(VirtualMemory& memory, const VaRange& code) {
    constexpr std::uint64_t kPage = 4096;
    const Va end = code.start + std::min(code.size(), kMaxCode);
    std::vector<std::byte> bytes;
    for (Va at = code.start; at < end;) {
      const Va page_end = std::min((at + kPage).aligned_down(kPage), end);
      const auto piece = read_bytes(memory, at, page_end - at);
      if (!piece && bytes.empty()) return tl::unexpected(piece.error());
      if (!piece) break;
      bytes.insert(bytes.end(), piece->begin(), piece->end());
      at = page_end;
    }
    return CodeCopy(code.start, std::move(bytes));
  }
  [[nodiscard]] Va end() const { return at_ + bytes_.size(); }

  // Zeros behind the end, so that the last instruction is found too.
  Result<> read(Va at, std::span<std::byte> into) override {
    const std::uint64_t offset = at - at_;
    if (offset >= bytes_.size()) return fail(Errc::kFault, "not in this code", at.value);
    const std::size_t size = std::min<std::size_t>(into.size(), bytes_.size() - offset);
    std::ranges::fill(into, std::byte{0});
    std::memcpy(into.data(), bytes_.data() + offset, size);
    return {};
  }

 private:
  CodeCopy(Va at, std::vector<std::byte> bytes) : at_(at), bytes_(std::move(bytes)) {}
  Va at_;
  std::vector<std::byte> bytes_;
};

struct RegisterRow {
  x86_reg id;
  std::string_view name;
};
constexpr RegisterRow kRegisters[] = {
    {X86_REG_RAX, "rax"}, {X86_REG_RBX, "rbx"}, {X86_REG_RCX, "rcx"}, {X86_REG_RDX, "rdx"},
    {X86_REG_RSI, "rsi"}, {X86_REG_RDI, "rdi"}, {X86_REG_RBP, "rbp"}, {X86_REG_R8, "r8"},
    {X86_REG_R9, "r9"},   {X86_REG_R10, "r10"}, {X86_REG_R11, "r11"}, {X86_REG_R12, "r12"},
    {X86_REG_R13, "r13"}, {X86_REG_R14, "r14"}, {X86_REG_R15, "r15"}, {X86_REG_EAX, "rax"},
    {X86_REG_EBX, "rbx"}, {X86_REG_ECX, "rcx"}, {X86_REG_EDX, "rdx"}, {X86_REG_ESI, "rsi"},
    {X86_REG_EDI, "rdi"}, {X86_REG_EBP, "rbp"},
};

std::string_view register_name(x86_reg id) {
  const auto* const row = std::ranges::find(kRegisters, id, &RegisterRow::id);
  return row == std::end(kRegisters) ? std::string_view{} : row->name;
}

bool is_table_word(const cs_x86_op& op, unsigned word_bytes) {
  return op.type == X86_OP_MEM && op.size == word_bytes && op.mem.base == X86_REG_INVALID &&
         op.mem.index != X86_REG_INVALID && op.mem.scale == static_cast<int>(word_bytes) &&
         op.mem.segment == X86_REG_INVALID;
}

std::optional<TableLoad> as_table_load(const Instruction& insn, unsigned bits) {
  const cs_x86& x86 = insn.x86();
  if (x86.op_count == 0 || !is_table_word(x86.operands[x86.op_count - 1], bits / 8)) return {};
  const auto address = static_cast<std::uint64_t>(x86.operands[x86.op_count - 1].mem.disp);
  const Va table{bits == 32 ? address & 0xffffffff : address};
  if (insn->id == X86_INS_CALL || insn->id == X86_INS_JMP)
    return TableLoad{table, insn.next(), {}, {}};
  if (insn->id != X86_INS_MOV || x86.operands[0].type != X86_OP_REG) return {};
  const std::string_view target = register_name(x86.operands[0].reg);
  if (target.empty()) return {};
  return TableLoad{table, insn.next(), target, {}};
}

// `cmp $n,%index` and `jae` or `ja` behind it: what the entries before 4.4 begin with, some
// instructions before the load.
class IndexLimit {
 public:
  void follow(const Instruction& insn) {
    constexpr int kReach = 8;
    const cs_x86& x86 = insn.x86();
    if (insn->id == X86_INS_CMP && x86.operands[0].type == X86_OP_REG &&
        x86.operands[1].type == X86_OP_IMM) {
      compared_ = static_cast<std::uint32_t>(x86.operands[1].imm);
    } else if (compared_ && (insn->id == X86_INS_JAE || insn->id == X86_INS_JA)) {
      limit_ = *compared_ + (insn->id == X86_INS_JA ? 1 : 0);
      left_ = kReach;
    } else {
      compared_.reset();
    }
    if (left_-- <= 0) limit_.reset();
  }
  [[nodiscard]] std::optional<std::uint32_t> value() const { return limit_; }

 private:
  std::optional<std::uint32_t> compared_;
  std::optional<std::uint32_t> limit_;
  int left_ = 0;
};

bool is_direct(const Instruction& insn) {
  return insn.x86().op_count == 1 && insn.x86().operands[0].type == X86_OP_IMM;
}

bool leaves(const Instruction& insn) {
  const auto groups = std::span(insn->detail->groups).first(insn->detail->groups_count);
  return std::ranges::any_of(groups, [](std::uint8_t group) {
    return group == X86_GRP_JUMP || group == X86_GRP_CALL || group == X86_GRP_RET;
  });
}

// The direct call or jump that comes next.
Va end_of_block(const Disassembler& disassembler, VirtualMemory& code, Va at) {
  constexpr int kMaxInstructions = 8;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const auto insn = disassembler.at(code, at);
    if (!insn) break;
    if ((insn.value()->id == X86_INS_CALL || insn.value()->id == X86_INS_JMP) && is_direct(*insn)) {
      return Va{static_cast<std::uint64_t>(insn->x86().operands[0].imm)};
    }
    if (leaves(*insn)) break;
    at = insn->next();
  }
  return {};
}

// Whether a conditional jump is taken after `cmp $constant, number`.
struct ConditionRow {
  unsigned id;
  bool (*holds)(std::uint32_t number, std::uint32_t constant);
};
using Signed = std::int32_t;
constexpr ConditionRow kConditions[] = {
    {X86_INS_JE, [](std::uint32_t n, std::uint32_t c) { return n == c; }},
    {X86_INS_JNE, [](std::uint32_t n, std::uint32_t c) { return n != c; }},
    {X86_INS_JA, [](std::uint32_t n, std::uint32_t c) { return n > c; }},
    {X86_INS_JAE, [](std::uint32_t n, std::uint32_t c) { return n >= c; }},
    {X86_INS_JB, [](std::uint32_t n, std::uint32_t c) { return n < c; }},
    {X86_INS_JBE, [](std::uint32_t n, std::uint32_t c) { return n <= c; }},
    {X86_INS_JG, [](std::uint32_t n, std::uint32_t c) { return Signed(n) > Signed(c); }},
    {X86_INS_JGE, [](std::uint32_t n, std::uint32_t c) { return Signed(n) >= Signed(c); }},
    {X86_INS_JL, [](std::uint32_t n, std::uint32_t c) { return Signed(n) < Signed(c); }},
    {X86_INS_JLE, [](std::uint32_t n, std::uint32_t c) { return Signed(n) <= Signed(c); }},
};

const ConditionRow* find_condition(unsigned id) {
  const auto* const row = std::ranges::find(kConditions, id, &ConditionRow::id);
  return row == std::end(kConditions) ? nullptr : row;
}

bool is_number(const cs_x86_op& op, unsigned bits) {
  return op.type == X86_OP_REG && op.reg == (bits == 32 ? X86_REG_EDX : X86_REG_ESI);
}

}  // namespace

std::vector<TableLoad> find_table_loads(VirtualMemory& memory, const VaRange& code, unsigned bits) {
  std::vector<TableLoad> loads;
  auto copy = CodeCopy::of(memory, code);
  const auto disassembler = Disassembler::open(bits);
  if (!copy || !disassembler) return loads;
  IndexLimit limit;
  for (Va at = code.start; at < copy->end();) {
    const auto insn = disassembler->at(*copy, at);
    if (insn) limit.follow(*insn);
    if (auto load = insn ? as_table_load(*insn, bits) : std::nullopt) {
      load->limit = limit.value();
      if (!load->target.empty()) load->late = end_of_block(*disassembler, *copy, load->next);
      loads.push_back(*load);
    }
    at = insn ? insn->next() : at + 1;
  }
  return loads;
}

CompareTree::Step CompareTree::step_of(const Instruction& insn, unsigned bits) {
  Step step;
  step.next = insn.next();
  const cs_x86& x86 = insn.x86();
  const bool direct = is_direct(insn);
  if (direct) step.target = Va{static_cast<std::uint64_t>(x86.operands[0].imm)};
  if (insn->id == X86_INS_NOP || insn->id == X86_INS_ENDBR64 || insn->id == X86_INS_ENDBR32) {
    step.act = Act::kNothing;
  } else if (insn->id == X86_INS_CMP && is_number(x86.operands[0], bits) &&
             x86.operands[1].type == X86_OP_IMM) {
    step.act = Act::kCompare;
    step.constant = static_cast<std::uint32_t>(x86.operands[1].imm);
  } else if (insn->id == X86_INS_TEST && is_number(x86.operands[0], bits) &&
             is_number(x86.operands[1], bits)) {
    step.act = Act::kCompare;  // with 0
  } else if (insn->id == X86_INS_JMP && direct) {
    step.act = Act::kGo;
  } else if (insn->id == X86_INS_CALL && direct) {
    step.act = Act::kCall;
  } else if (find_condition(insn->id) != nullptr && direct) {
    step.act = Act::kBranch;
    step.condition = insn->id;
  }
  return step;
}

Result<CompareTree> CompareTree::read(VirtualMemory& memory, const VaRange& function,
                                      unsigned bits) {
  CodeCopy copy = SWAT_TRY(CodeCopy::of(memory, function));
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(bits));
  CompareTree tree;
  tree.function_ = {function.start, copy.end()};
  for (Va at = function.start; at < copy.end();) {
    const auto insn = disassembler.at(copy, at);
    if (!insn) {
      at = at + 1;  // int3 and the like between the branches decode; this is not even that
      continue;
    }
    const Step step = step_of(*insn, bits);
    tree.steps_.emplace(at, step);
    at = step.next;
  }
  return tree;
}

Result<Va> CompareTree::follow(const Step& step, std::uint32_t number,
                               std::optional<std::uint32_t>& constant) {
  switch (step.act) {
    case Act::kNothing:
      return step.next;
    case Act::kCompare:
      constant = step.constant;
      return step.next;
    case Act::kBranch:
      if (!constant) break;
      return find_condition(step.condition)->holds(number, *constant) ? step.target : step.next;
    case Act::kGo:
      return step.target;
    case Act::kCall:  // before any comparison: of a tracer's hook
      return constant ? step.target : step.next;
    case Act::kUnknown:
      break;
  }
  return fail(Errc::kUnsupported, "not a tree of comparisons");
}

Result<Va> CompareTree::leads_to(std::uint32_t number) const {
  constexpr int kMaxSteps = 256;
  Va at = function_.start;
  std::optional<std::uint32_t> constant;
  for (int i = 0; i < kMaxSteps; ++i) {
    const auto step = steps_.find(at);
    if (step == steps_.end()) break;
    at = SWAT_TRY(follow(step->second, number, constant));
    if (!function_.contains(at)) return at;
  }
  return fail(Errc::kUnsupported, "a tree of comparisons without an end", function_.start.value);
}

}  // namespace swat::os::x86
