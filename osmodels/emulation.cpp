#include "osmodels/emulation.hpp"

#include <algorithm>
#include <iterator>

#include "osmodels/aarch64/emulation.hpp"
#include "osmodels/arm/emulation.hpp"
#include "osmodels/x86/first_instruction.hpp"

namespace swat::os {
namespace {

Result<Va> emulate_x86(VirtualMemory& memory, VcpuState& vcpu, Va at, unsigned bits) {
  const x86::Skip skip = SWAT_TRY(x86::understand(memory, at, bits));
  SWAT_CHECK(skip.apply(vcpu));
  return skip.next;
}

struct Row {
  Architecture architecture;
  Result<Va> (*emulate)(VirtualMemory&, VcpuState&, Va, unsigned bits);
  Result<SlotRead> (*read_of_slot)(VirtualMemory&, VcpuState&, Va);  // null: stops behind accesses
};
constexpr Row kRows[] = {
    {Architecture::kI386, emulate_x86, nullptr},
    {Architecture::kX86_64, emulate_x86, nullptr},
    {Architecture::kArm, arm::emulate, arm::read_of_slot},
    {Architecture::kAarch64, aarch64::emulate, aarch64::read_of_slot},
};

}  // namespace

Result<Va> emulate(Architecture architecture, VirtualMemory& memory, VcpuState& vcpu, Va at,
                   unsigned bits) {
  const auto* const row = std::ranges::find(kRows, architecture, &Row::architecture);
  if (row == std::end(kRows)) {
    return fail(Errc::kUnsupported, "no instruction of this architecture is emulated", at.value);
  }
  return row->emulate(memory, vcpu, at, bits);
}

Result<SlotRead> read_of_slot(Architecture architecture, VirtualMemory& memory, VcpuState& vcpu,
                              Va at) {
  const auto* const row = std::ranges::find(kRows, architecture, &Row::architecture);
  if (row == std::end(kRows) || row->read_of_slot == nullptr) {
    return fail(Errc::kUnsupported, "vCPUs do not stop before an access here", at.value);
  }
  return row->read_of_slot(memory, vcpu, at);
}

}  // namespace swat::os
