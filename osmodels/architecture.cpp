#include "osmodels/architecture.hpp"

#include <algorithm>
#include <iterator>
#include <string>

namespace swat::os {
namespace {

// Privilege: CPL is the low two bits of CS [Intel SDM vol. 3, 5.5]; PSTATE.M and CPSR.M have the
// exception level, or the mode, in their low four bits, and User and EL0 are 0 there
// [Arm ARM DDI 0487, C5.2.19; DDI 0406, B1.3.1].
constexpr Machine kMachines[] = {
    {Architecture::kI386,
     "i386",
     "i386",
     4,
     "eip",
     "esp",
     "",
     "eax",
     "eax",
     "cr3",
     "cr3",
     "cr2",
     {"cs", 3, true},
     false},
    {Architecture::kX86_64,
     "x86_64",
     "i386:x86-64",
     8,
     "rip",
     "rsp",
     "",
     "rax",
     "rax",
     "cr3",
     "cr3",
     "cr2",
     {"cs", 3, true},
     false},
    {Architecture::kArm,
     "arm",
     "arm",
     4,
     "pc",
     "sp",
     "lr",
     "r7",
     "r0",
     "TTBR0_EL1",
     "TTBR0_EL1",
     "DFAR",
     {"cpsr", 0xf, false},
     true,
     1},
    {Architecture::kAarch64,
     "aarch64",
     "aarch64",
     8,
     "pc",
     "sp",
     "x30",
     "x8",
     "x0",
     "TTBR0_EL1",
     "TTBR1_EL1",
     "FAR_EL1",
     {"cpsr", 0xf, false},
     true,
     0,
     8},
};

}  // namespace

std::string_view to_string(Architecture architecture) { return machine_of(architecture).name; }

const Machine& machine_of(Architecture architecture) {
  return *std::ranges::find(kMachines, architecture, &Machine::architecture);
}

const Machine* find_machine(std::string_view target_xml) {
  const auto* const row = std::ranges::find(kMachines, target_xml, &Machine::target_xml);
  return row == std::end(kMachines) ? nullptr : row;
}

Result<std::uint64_t> system_register(GuestView& guest, unsigned vcpu, std::string_view name) {
  auto value = guest.reg(vcpu, name);
  if (value || value.error().code != Errc::kNotFound) return value;
  return guest.reg(vcpu, std::string(name) + "_EL1");
}

}  // namespace swat::os
