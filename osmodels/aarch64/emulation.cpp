#include "osmodels/aarch64/emulation.hpp"

#include "osmodels/aarch64/code.hpp"

namespace swat::os::aarch64 {
namespace {

Result<std::uint64_t> base_register(VcpuState& vcpu, unsigned number) {
  return vcpu.reg(register_name(number));  // 31 is sp
}

Result<std::uint64_t> operand(VcpuState& vcpu, unsigned number) {
  if (number == kZeroOrSp) return 0;
  return vcpu.reg(register_name(number));
}

Result<> set_operand(VcpuState& vcpu, unsigned number, std::uint64_t value) {
  if (number == kZeroOrSp) return {};
  return vcpu.set_reg(register_name(number), value);
}

// Where a load reads.
Result<Va> address_of(const Load& load, VcpuState& vcpu, Va at) {
  const auto offset = static_cast<std::uint64_t>(load.offset);
  if (load.literal) return at + offset;
  Va address{SWAT_TRY(base_register(vcpu, load.base))};
  if (!load.post) address = address + offset;
  if (!load.index) return address;
  std::uint64_t index = SWAT_TRY(operand(vcpu, *load.index));
  if (load.index_is_word) index &= 0xffffffff;
  return address + (index << load.index_shift);
}

Result<Va> do_load(const Load& load, VirtualMemory& memory, VcpuState& vcpu, Va at) {
  const Va address = SWAT_TRY(address_of(load, vcpu, at));
  std::array<std::uint64_t, 2> values{};
  for (unsigned i = 0; i < load.count; ++i) {
    const auto raw = std::as_writable_bytes(std::span(&values[i], 1)).first(load.size_bytes);
    SWAT_CHECK(memory.read(address + std::uint64_t{i} * load.size_bytes, raw));
  }
  if (load.writes_back) {
    const std::uint64_t old = SWAT_TRY(base_register(vcpu, load.base));
    SWAT_CHECK(
        vcpu.set_reg(register_name(load.base), old + static_cast<std::uint64_t>(load.offset)));
  }
  for (unsigned i = 0; i < load.count; ++i) SWAT_CHECK(set_operand(vcpu, load.to[i], values[i]));
  return at + kInstructionBytes;
}

// NOP, and BTI in its four forms, whose only effect here is on PSTATE.BTYPE, as every
// instruction's is. [DDI 0487, C6.2.204, C6.2.32]
bool does_nothing(std::uint32_t word) {
  constexpr std::uint32_t kNop = 0xd503201f;
  constexpr std::uint32_t kBti = 0xd503241f;
  constexpr std::uint32_t kBtiTargets = 0xc0;
  return word == kNop || (word & ~kBtiTargets) == kBti;
}

// Signs the return address where the guest uses that: SCTLR_EL1.EnIA. The kernel's own key is
// enabled with the user's. [DDI 0487, C6.2.208, D13.2.116]
bool is_unused_paciasp(std::uint32_t word, VcpuState& vcpu) {
  constexpr std::uint32_t kPaciasp = 0xd503233f;
  constexpr std::uint64_t kEnIa = std::uint64_t{1} << 31;
  if (word != kPaciasp) return false;
  for (const std::string_view name : {"SCTLR", "SCTLR_EL1"}) {
    if (const auto control = vcpu.reg(name)) return (*control & kEnIa) == 0;
  }
  return false;
}

Result<Va> carry_out(std::uint32_t word, VirtualMemory& memory, VcpuState& vcpu, Va at) {
  const Va next = at + kInstructionBytes;
  if (does_nothing(word) || is_unused_paciasp(word, vcpu)) return next;
  if (const auto load = load_of(word)) return do_load(*load, memory, vcpu, at);
  if (const auto move = move_of(word)) {
    SWAT_CHECK(set_operand(vcpu, move->to, SWAT_TRY(operand(vcpu, move->from))));
    return next;
  }
  if (const auto add = add_of(word)) {
    const std::uint64_t from = SWAT_TRY(base_register(vcpu, add->from));
    SWAT_CHECK(vcpu.set_reg(register_name(add->to), from + add->amount));
    return next;
  }
  if (const auto page = adrp_of(word, at)) {
    SWAT_CHECK(set_operand(vcpu, page->to, page->page.value));
    return next;
  }
  if (const auto target = direct_branch_of(word, at); target && (word >> 31) == 0) return *target;
  return fail(Errc::kUnsupported, "not emulated", at.value);
}

Result<std::uint32_t> word_at(VirtualMemory& memory, Va at) {
  return read_as<std::uint32_t>(memory, at);
}

}  // namespace

Result<Va> emulate(VirtualMemory& memory, VcpuState& vcpu, Va at, unsigned) {
  // Where an indirect branch came from, for the next instruction to look at.
  constexpr std::uint64_t kBranchType = 0xc00;
  constexpr std::uint64_t kAarch32 = 0x10;
  const std::uint64_t state = SWAT_TRY(vcpu.reg("cpsr"));
  if ((state & kAarch32) != 0) return fail(Errc::kUnsupported, "AArch32 code", at.value);
  const Va next = SWAT_TRY(carry_out(SWAT_TRY(word_at(memory, at)), memory, vcpu, at));
  if ((state & kBranchType) != 0) SWAT_CHECK(vcpu.set_reg("cpsr", state & ~kBranchType));
  return next;
}

Result<SlotRead> read_of_slot(VirtualMemory& memory, VcpuState& vcpu, Va at) {
  constexpr unsigned kFarthest = 8;  // instructions
  const auto load = load_of(SWAT_TRY(word_at(memory, at)));
  if (!load) return fail(Errc::kUnsupported, "no load that is known", at.value);
  SlotRead read{
      SWAT_TRY(address_of(*load, vcpu, at)), std::uint64_t{load->count} * load->size_bytes, {}, {}};
  if (load->count != 1 || load->size_bytes != 8 || load->to[0] == kZeroOrSp) return read;
  for (unsigned i = 1; i <= kFarthest; ++i) {
    const Va here = at + i * kInstructionBytes;
    const auto word = word_at(memory, here);
    if (!word) return read;
    const auto branch = register_branch_of(*word);
    if (branch && branch->through == load->to[0]) {
      read.callee = Va{SWAT_TRY(read_as<std::uint64_t>(memory, read.at))};
      read.return_address =
          branch->links ? here + kInstructionBytes : Va{SWAT_TRY(vcpu.reg(register_name(30)))};
      return read;
    }
    if (is_branch(*word)) return read;
  }
  return read;
}

}  // namespace swat::os::aarch64
