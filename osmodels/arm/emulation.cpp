#include "osmodels/arm/emulation.hpp"

#include "osmodels/arm/code.hpp"

namespace swat::os::arm {
namespace {

constexpr std::uint64_t kWordMask = 0xffffffff;

Result<Execution> execution_of(VcpuState& vcpu, Va at) {
  const Execution execution(SWAT_TRY(vcpu.reg("cpsr")));
  if (execution.is_foreign()) return fail(Errc::kUnsupported, "no A32 or T32 code", at.value);
  return execution;
}

// As the instruction reads it; pc as a base is aligned to a word.
Result<std::uint64_t> operand(VcpuState& vcpu, const Instruction& instruction, unsigned number) {
  if (number == kPc) return instruction.pc().aligned_down(4).value;
  return SWAT_TRY(vcpu.reg(register_name(number))) & kWordMask;
}

struct Address {
  Va at;
  std::uint64_t base_after;  // what the base register becomes with write-back
};

Result<Address> address_of(const Load& load, VcpuState& vcpu, const Instruction& instruction) {
  const std::uint64_t base = SWAT_TRY(operand(vcpu, instruction, load.base));
  std::uint64_t moved = base + static_cast<std::uint64_t>(load.offset);
  if (load.index) {
    moved += SWAT_TRY(operand(vcpu, instruction, *load.index)) << load.index_shift;
  }
  moved &= kWordMask;
  return Address{Va{load.post ? base : moved}, moved};
}

// CPUs differ in what an unaligned word is: those are stepped.
Result<std::uint32_t> loaded(VirtualMemory& memory, Va at) {
  if (at.value % 4 != 0) return fail(Errc::kUnsupported, "an unaligned load", at.value);
  return read_as<std::uint32_t>(memory, at);
}

class Emulator {
 public:
  Emulator(VirtualMemory& memory, VcpuState& vcpu, const Instruction& instruction,
           const Execution& execution)
      : memory_(memory), vcpu_(vcpu), instruction_(instruction), execution_(execution) {}

  // What QEMU is to be told, as emulate() returns it.
  Result<Va> carry_out() {
    if (!execution_.executes(instruction_.condition()) || does_nothing(instruction_)) {
      return done(instruction_.next());
    }
    if (const auto load = load_of(instruction_)) return carry_out(*load);
    if (const auto arithmetic = arithmetic_of(instruction_)) return carry_out(*arithmetic);
    return fail(Errc::kUnsupported, "not emulated", instruction_.at.value);
  }

 private:
  Result<Va> carry_out(const Load& load) {
    const Address address = SWAT_TRY(address_of(load, vcpu_, instruction_));
    const std::uint32_t value = SWAT_TRY(loaded(memory_, address.at));
    if (load.to == kPc && (value & 3) == 2) {
      return fail(Errc::kUnsupported, "a branch to an unaligned address", instruction_.at.value);
    }
    if (load.writes_back) SWAT_CHECK(set(load.base, address.base_after));
    if (load.to != kPc) {
      SWAT_CHECK(set(load.to, value));
      return done(instruction_.next());
    }
    return go_to(Va{value & ~kThumbBit}, (value & kThumbBit) != 0);
  }

  Result<Va> carry_out(const Arithmetic& arithmetic) {
    std::uint64_t from = 0;
    if (arithmetic.from) from = SWAT_TRY(operand(vcpu_, instruction_, *arithmetic.from));
    if (arithmetic.keeps_low_half) from &= 0xffff;
    SWAT_CHECK(set(arithmetic.to, (from + arithmetic.amount) & kWordMask));
    return done(instruction_.next());
  }

  Result<> set(unsigned number, std::uint64_t value) {
    return vcpu_.set_reg(register_name(number), value);
  }

  Result<Va> done(Va next) { return go_to(next, instruction_.thumb); }

  Result<Va> go_to(Va next, bool thumb) {
    constexpr std::uint32_t kThumbState = 1 << 5;
    const auto before = static_cast<std::uint32_t>(SWAT_TRY(vcpu_.reg("cpsr")));
    const std::uint32_t after =
        (execution_.after() & ~kThumbState) | (thumb ? kThumbState : std::uint32_t{0});
    if (after != before) SWAT_CHECK(vcpu_.set_reg("cpsr", after));
    return next + (thumb ? kThumbBit : 0);
  }

  VirtualMemory& memory_;
  VcpuState& vcpu_;
  const Instruction& instruction_;
  const Execution& execution_;
};

// Where a function that is called from the instruction after which `back` is executed returns to.
Result<Va> in_link_register(VcpuState& vcpu) {
  return Va{SWAT_TRY(vcpu.reg(register_name(kLr))) & kWordMask & ~kThumbBit};
}

// Where the loaded register is called; nullopt: it is not, as far as can be seen.
std::optional<Instruction> call_through(VirtualMemory& memory, const Instruction& load,
                                        unsigned loaded) {
  constexpr unsigned kFarthest = 8;  // instructions
  Va at = load.next();
  for (unsigned i = 0; i < kFarthest; ++i) {
    const auto instruction = fetch(memory, at, load.thumb);
    if (!instruction) return {};
    const auto branch = register_branch_of(*instruction);
    if (branch && branch->through == loaded) return *instruction;
    if (is_branch(*instruction)) return {};
    at = instruction->next();
  }
  return {};
}

}  // namespace

Result<Va> emulate(VirtualMemory& memory, VcpuState& vcpu, Va at, unsigned) {
  const Execution execution = SWAT_TRY(execution_of(vcpu, at));
  const Instruction instruction = SWAT_TRY(fetch(memory, at, execution.is_thumb()));
  return Emulator(memory, vcpu, instruction, execution).carry_out();
}

Result<SlotRead> read_of_slot(VirtualMemory& memory, VcpuState& vcpu, Va at) {
  const Execution execution = SWAT_TRY(execution_of(vcpu, at));
  const Instruction instruction = SWAT_TRY(fetch(memory, at, execution.is_thumb()));
  const auto load = load_of(instruction);
  if (!load || !execution.executes(instruction.condition())) {
    return fail(Errc::kUnsupported, "no load that is known", at.value);
  }
  SlotRead read{SWAT_TRY(address_of(*load, vcpu, instruction)).at, 4, {}, {}};
  const auto value = loaded(memory, read.at);
  if (!value) return read;
  if (load->to == kPc) {
    read.return_address = SWAT_TRY(in_link_register(vcpu));
  } else {
    const auto call = call_through(memory, instruction, load->to);
    if (!call) return read;
    const bool links = register_branch_of(*call)->links;
    read.return_address = links ? call->next() : SWAT_TRY(in_link_register(vcpu));
  }
  read.callee = Va{*value & ~kThumbBit};
  return read;
}

}  // namespace swat::os::arm
