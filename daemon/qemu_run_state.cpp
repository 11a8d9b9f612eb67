#include "daemon/qemu_run_state.hpp"

#include <elf.h>

#include <algorithm>

#include "osmodels/x86/disassembler.hpp"
#include "symbols/elf_image.hpp"

namespace swat::daemon {
namespace {

using os::x86::Disassembler;
using os::x86::Instruction;

constexpr std::size_t kMaxInstructions = 6;
constexpr std::uint32_t kMaxStates = 64;  // 16 in 11.1
constexpr std::size_t kMaxNameBytes = 32;

tl::unexpected<Error> odd(std::string what) { return fail(Errc::kUnsupported, std::move(what)); }

// `cmpl $value, disp32(%rip)`
struct Comparison {
  Va variable;
  std::uint64_t value;
};

// A vector of names by its number, in whatever order the members are. [qapi/util.h]
struct LookupLayout {
  std::uint64_t size_bytes;  // of the whole, as its symbol says
  std::uint64_t array_at;
  std::uint64_t count_at;
};
constexpr LookupLayout kLookupLayouts[] = {
    {16, 0, 8},   // {array, size}: up to 6.1
    {24, 0, 16},  // {array, special_features, size}: since 6.2
};

Result<Comparison> decode_comparison(const Instruction& insn) {
  const cs_x86& x86 = insn.x86();
  const cs_x86_op& left = x86.operands[0];
  const cs_x86_op& right = x86.operands[1];
  if (insn->id != X86_INS_CMP || left.type != X86_OP_MEM || right.type != X86_OP_IMM ||
      left.size != 4 || left.mem.base != X86_REG_RIP || left.mem.index != X86_REG_INVALID) {
    return odd("runstate_is_running compares otherwise");
  }
  return Comparison{insn.next() + static_cast<std::uint64_t>(left.mem.disp),
                    static_cast<std::uint64_t>(right.imm)};
}

// All of the function: nothing but the comparison and its answer.
Result<Comparison> decode_function(VirtualMemory& qemu, Va function) {
  const Disassembler disassembler = SWAT_TRY(Disassembler::open(64));
  std::optional<Comparison> found;
  bool answered = false;
  for (std::size_t i = 0; i < kMaxInstructions; ++i) {
    const Instruction insn = SWAT_TRY(disassembler.at(qemu, function));
    function = insn.next();
    if (!found) {
      if (insn->id != X86_INS_ENDBR64) found = SWAT_TRY(decode_comparison(insn));
    } else if (!answered) {
      if (insn->id != X86_INS_SETE) break;
      answered = true;
    } else {
      if (insn->id != X86_INS_RET) break;
      return *found;
    }
  }
  return odd("runstate_is_running does more than compare");
}

Result<std::vector<std::string>> read_names(VirtualMemory& qemu, const symbols::ElfPlace& lookup) {
  const auto* layout = std::ranges::find(kLookupLayouts, lookup.size_bytes,
                                         [](const LookupLayout& row) { return row.size_bytes; });
  if (layout == std::end(kLookupLayouts)) return odd("RunState_lookup has another size");
  const Va array{SWAT_TRY(read_as<std::uint64_t>(qemu, lookup.address + layout->array_at))};
  const auto count = SWAT_TRY(read_as<std::uint32_t>(qemu, lookup.address + layout->count_at));
  if (count == 0 || count > kMaxStates) return odd("RunState_lookup has an odd number of states");
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Va name{SWAT_TRY(read_as<std::uint64_t>(qemu, array + std::uint64_t{8} * i))};
    names.push_back(SWAT_TRY(read_c_string(qemu, name, kMaxNameBytes)));
  }
  return names;
}

}  // namespace

Result<QemuRunState> QemuRunState::in(VirtualMemory& qemu, Va image) {
  const auto elf = SWAT_TRY(symbols::ElfImage::open(qemu, image));
  if (!elf.is_64_bit() || elf.machine() != EM_X86_64) return odd("QEMU is no x86_64 program");
  const auto function = SWAT_TRY(elf.find(qemu, "runstate_is_running"));
  const auto lookup = SWAT_TRY(elf.find(qemu, "RunState_lookup"));
  const Comparison comparison = SWAT_TRY(decode_function(qemu, function.address));
  auto names = SWAT_TRY(read_names(qemu, lookup));
  if (comparison.value >= names.size() || names[comparison.value] != "running") {
    return odd("runstate_is_running compares with something else");
  }
  if (!elf.extent().contains(comparison.variable)) return odd("the run state is not QEMU's own");
  return QemuRunState(comparison.variable, std::move(names));
}

Result<std::string> QemuRunState::read(VirtualMemory& qemu) const {
  const auto state = SWAT_TRY(read_as<std::uint32_t>(qemu, variable_));
  if (state >= names_.size()) return odd("a run state without a name");
  return names_[state];
}

}  // namespace swat::daemon
