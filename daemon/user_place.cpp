#include "daemon/user_place.hpp"

#include <array>

namespace swat::daemon {

// What the CPU has pushed: error code, RIP, CS, RFLAGS, RSP, SS.
// [Intel SDM vol. 3, 6.14.2 "64-Bit Mode Stack Frame"]
std::optional<UserPlace> user_place(StoppedGuest& guest, os::OsModel& model, unsigned vcpu) {
  const Va sp = guest.sp(vcpu);
  if (!guest.in_kernel(vcpu)) return UserPlace{guest.pc(vcpu), sp};
  if (guest.architecture() != os::Architecture::kX86_64) return {};
  constexpr std::uint64_t kUserMode = 3;
  std::array<std::uint64_t, 5> pushed{};
  if (!model.kernel_memory().read(sp, std::as_writable_bytes(std::span(pushed)))) return {};
  const bool was_fetching = pushed[1] == guest.reg_or_zero(vcpu, guest.machine().fault_address);
  if (!was_fetching || (pushed[2] & kUserMode) != kUserMode) return {};
  return UserPlace{Va{pushed[1]}, Va{pushed[4]}};
}

// Windows' own part of a 32-bit process is 64-bit code: that of system calls. The segment tells,
// which Linux and Windows have at the same place. [__USER_CS; KGDT64_R3_CODE]
unsigned user_word_bytes(StoppedGuest& guest, unsigned vcpu, const os::Process& process) {
  constexpr std::uint64_t kWideCode = 0x33;
  if (!process.is_32_bit) return 8;
  const bool is_wide = guest.architecture() == os::Architecture::kX86_64 &&
                       guest.reg_or_zero(vcpu, "cs") == kWideCode;
  return is_wide ? 8 : 4;
}

}  // namespace swat::daemon
