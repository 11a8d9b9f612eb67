#include "osmodels/arm/exit_path.hpp"

#include "osmodels/arm/code.hpp"

namespace swat::os::arm {
namespace {

constexpr int kFarthest = 12;  // instructions

// LDM (User registers). [DDI 0406C, B9.3.6]
bool loads_user_registers(const Instruction& instruction) {
  constexpr std::uint32_t kFixed = 0x0e508000;
  constexpr std::uint32_t kLoadUser = 0x08500000;
  return (instruction.bits & kFixed) == kLoadUser;
}

}  // namespace

Result<bool> restores_result(VirtualMemory& kernel, Va at) {
  for (int i = 0; i < kFarthest; ++i) {
    const Instruction instruction = SWAT_TRY(fetch(kernel, at, false));
    if (loads_user_registers(instruction)) return (instruction.bits & 1) != 0;
    at = instruction.next();
  }
  return fail(Errc::kNotFound, "no way back to user mode", at.value);
}

}  // namespace swat::os::arm
