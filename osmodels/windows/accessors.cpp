#include "osmodels/windows/accessors.hpp"

#include <algorithm>
#include <map>

#include "osmodels/x86/disassembler.hpp"

namespace swat::os::windows {
namespace {

using x86::Instruction;
using Start = ReturnedPath::Start;

constexpr int kMaxInstructions = 24;
constexpr std::uint64_t kMostOffset = 0x10000;  // of a member

struct Machine {
  unsigned bits;
  x86_reg result;
  x86_reg first_argument;  // X86_REG_INVALID: it is on the stack
  x86_reg pcr_segment;
  // Of the first processor, which is all that kernels for one processor have: on x86 until 5.2 at
  // the same place on every system, and such kernels may name it. [KIP0PCRADDRESS of the DDK]
  std::optional<std::uint64_t> pcr_address;
};
constexpr Machine kMachines[] = {{32, X86_REG_EAX, X86_REG_INVALID, X86_REG_FS, 0xffdf'f000},
                                 {64, X86_REG_RAX, X86_REG_RCX, X86_REG_GS, {}}};
constexpr std::uint64_t kPcrBytes = 0x1000;

// Registers that hold part of a path. All else is unknown.
class Follower {
 public:
  explicit Follower(const Machine& machine) : machine_(machine) {
    if (machine.first_argument != X86_REG_INVALID) {
      values_[machine.first_argument] = {Start::kArgument, {}, 0};
    }
  }

  void take(const Instruction& insn) {
    const cs_x86& x86 = insn.x86();
    const bool writes_register = x86.op_count >= 1 && x86.operands[0].type == X86_OP_REG;
    if (!writes_register || insn->id == X86_INS_PUSH) return;
    const x86_reg to = widest(x86.operands[0].reg);
    std::optional<ReturnedPath> value = x86.op_count == 2 ? value_of(insn) : std::nullopt;
    if (value) {
      values_[to] = *std::move(value);
    } else {
      values_.erase(to);
    }
  }

  [[nodiscard]] std::optional<ReturnedPath> result() const { return known(machine_.result); }

 private:
  // 32-bit results clear the upper half.
  static x86_reg widest(x86_reg reg) {
    constexpr std::pair<x86_reg, x86_reg> kHalves[] = {
        {X86_REG_EAX, X86_REG_RAX}, {X86_REG_ECX, X86_REG_RCX}, {X86_REG_EDX, X86_REG_RDX}};
    for (const auto& [half, whole] : kHalves) {
      if (reg == half) return whole;
    }
    return reg;
  }
  [[nodiscard]] std::optional<ReturnedPath> known(x86_reg reg) const {
    const auto value = values_.find(widest(reg));
    return value == values_.end() ? std::nullopt : std::optional(value->second);
  }

  [[nodiscard]] std::optional<ReturnedPath> value_of(const Instruction& insn) const {
    const cs_x86_op& from = insn.x86().operands[1];
    if (insn->id == X86_INS_MOV && from.type == X86_OP_REG) return known(from.reg);
    if (insn->id == X86_INS_MOV && from.type == X86_OP_MEM) return loaded(from.mem);
    if (insn->id == X86_INS_LEA) return address(from.mem);
    if (insn->id == X86_INS_ADD && from.type == X86_OP_IMM) {
      auto value = known(insn.x86().operands[0].reg);
      if (value) value->added += static_cast<std::uint64_t>(from.imm);
      return value;
    }
    return {};
  }

  // The address that an operand names, as a path without the load.
  [[nodiscard]] std::optional<ReturnedPath> address(const x86_op_mem& mem) const {
    if (mem.index != X86_REG_INVALID) return {};
    auto value = known(mem.base);
    if (value) value->added += static_cast<std::uint64_t>(mem.disp);
    return value;
  }

  [[nodiscard]] std::optional<ReturnedPath> loaded(const x86_op_mem& mem) const {
    if (mem.segment == machine_.pcr_segment) {
      if (mem.base != X86_REG_INVALID || mem.index != X86_REG_INVALID) return {};
      return ReturnedPath{Start::kPcr, {static_cast<std::uint64_t>(mem.disp)}, 0};
    }
    if (const auto at = offset_in_pcr(mem)) return ReturnedPath{Start::kPcr, {*at}, 0};
    if (is_first_argument(mem)) return ReturnedPath{Start::kArgument, {}, 0};
    auto value = address(mem);
    if (!value) return {};
    value->loads.push_back(value->added);
    value->added = 0;
    return value;
  }

  // Of an address that is in the KPCR whatever registers hold.
  [[nodiscard]] std::optional<std::uint64_t> offset_in_pcr(const x86_op_mem& mem) const {
    const bool is_flat = mem.segment == X86_REG_INVALID || mem.segment == X86_REG_DS;
    if (!machine_.pcr_address || !is_flat || mem.base != X86_REG_INVALID ||
        mem.index != X86_REG_INVALID) {
      return {};
    }
    const std::uint64_t offset =
        (static_cast<std::uint64_t>(mem.disp) & 0xffff'ffff) - *machine_.pcr_address;
    return offset < kPcrBytes ? std::optional(offset) : std::nullopt;
  }

  // Behind the return address, and the frame pointer where that has been pushed.
  [[nodiscard]] bool is_first_argument(const x86_op_mem& mem) const {
    if (machine_.first_argument != X86_REG_INVALID || mem.index != X86_REG_INVALID) return false;
    return (mem.base == X86_REG_EBP && mem.disp == 8) || (mem.base == X86_REG_ESP && mem.disp == 4);
  }

  const Machine& machine_;
  std::map<x86_reg, ReturnedPath> values_;
};

bool is_plausible(const ReturnedPath& path) {
  if (path.added >= kMostOffset) return false;
  return std::ranges::all_of(path.loads, [](std::uint64_t at) { return at < kMostOffset; });
}

// Which member a function tells: the last load of so many, or what is added behind none.
struct AccessorRow {
  std::string_view function;
  Start start;
  std::size_t loads;  // 0: the member's address is returned
  MemberOffset WindowsOffsets::*member;
  std::uint32_t minus_words = 0;  // what is told lies so many words behind the member
};
constexpr AccessorRow kAccessors[] = {
    {"PsGetProcessId", Start::kArgument, 1, &WindowsOffsets::process_pid},
    {"PsGetProcessInheritedFromUniqueProcessId", Start::kArgument, 1,
     &WindowsOffsets::process_parent_pid},
    {"PsGetProcessImageFileName", Start::kArgument, 0, &WindowsOffsets::process_name},
    {"PsGetProcessPeb", Start::kArgument, 1, &WindowsOffsets::process_peb},
    {"PsGetProcessWow64Process", Start::kArgument, 1, &WindowsOffsets::process_wow64},
    {"PsGetThreadId", Start::kArgument, 1, &WindowsOffsets::thread_client_id, 1},
    {"PsGetCurrentThread", Start::kPcr, 1, &WindowsOffsets::pcr_current_thread},
    {"KeGetCurrentThread", Start::kPcr, 1, &WindowsOffsets::pcr_current_thread},
    {"IoGetCurrentProcess", Start::kPcr, 2, &WindowsOffsets::thread_process},
    {"PsGetCurrentProcess", Start::kPcr, 2, &WindowsOffsets::thread_process},
};

MemberOffset told_by(const AccessorRow& row, const ReturnedPath& path, unsigned word_bytes) {
  if (path.start != row.start || path.loads.size() != row.loads) return {};
  if (row.loads != 0 && path.added != 0) return {};
  const std::uint64_t at = row.loads == 0 ? path.added : path.loads.back();
  const std::uint64_t before = std::uint64_t{row.minus_words} * word_bytes;
  if (at < before) return {};
  return static_cast<std::uint32_t>(at - before);
}

const Machine& machine_of(unsigned word_bytes) { return kMachines[word_bytes == 8 ? 1 : 0]; }

Result<ReturnedPath> follow(const x86::Disassembler& disassembler, VirtualMemory& kernel,
                            const Machine& machine, Va function) {
  Follower follower(machine);
  Va at = function;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const Instruction insn = SWAT_TRY(disassembler.at(kernel, at));
    if (insn->id == X86_INS_RET) {
      const auto path = follower.result();
      if (path && is_plausible(*path)) return *path;
      break;
    }
    follower.take(insn);
    const auto next = insn.only_successor();
    if (!next) break;
    at = *next;
  }
  return fail(Errc::kNotFound, "no accessor of a member", function.value);
}

}  // namespace

Result<ReturnedPath> follow_accessor(VirtualMemory& kernel, Va function, unsigned word_bytes) {
  const Machine& machine = machine_of(word_bytes);
  const auto disassembler = SWAT_TRY(x86::Disassembler::open(machine.bits));
  return follow(disassembler, kernel, machine, function);
}

WindowsOffsets offsets_by_accessors(VirtualMemory& kernel, const FindExport& find_export,
                                    unsigned word_bytes) {
  WindowsOffsets told;
  const Machine& machine = machine_of(word_bytes);
  const auto disassembler = x86::Disassembler::open(machine.bits);  // one for all: it has caches
  if (!disassembler) return told;
  for (const AccessorRow& row : kAccessors) {
    const auto function = find_export(row.function);
    if (!function || told.*row.member) continue;
    const auto path = follow(*disassembler, kernel, machine, *function);
    if (path) told.*row.member = told_by(row, *path, word_bytes);
  }
  // The ring's links follow the number, in all rows of offset_rows().
  if (told.process_pid) told.process_links = *told.process_pid + word_bytes;
  return told;
}

}  // namespace swat::os::windows
