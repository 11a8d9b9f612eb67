// Any bytes as the code of a function in either mode, and as a kernel's entry path; of x86, ARM and
// AArch64.
#include <cstdint>

#include "input.hpp"
#include "osmodels/aarch64/emulation.hpp"
#include "osmodels/arm/emulation.hpp"
#include "osmodels/arm/entry_path.hpp"
#include "osmodels/x86/entry_path.hpp"
#include "osmodels/x86/first_instruction.hpp"

namespace {

using swat::Va;
using swat::fuzz::require;
using swat::fuzz::SpanMemory;

constexpr Va kCode{0xffffffff81000ff0};  // an instruction may straddle the end of its page

// Registers that are all there, and a stack that is not.
class Vcpu final : public swat::os::VcpuState {
 public:
  explicit Vcpu(std::uint64_t cpsr = 0) : cpsr_(cpsr) {}
  [[nodiscard]] swat::Result<std::uint64_t> reg(std::string_view name) override {
    require(!name.empty());
    return name == "cpsr" ? cpsr_ : 0x7000;
  }
  [[nodiscard]] swat::Result<> set_reg(std::string_view name, std::uint64_t) override {
    require(!name.empty());
    return {};
  }
  [[nodiscard]] swat::Result<> store(Va, std::uint64_t, unsigned size_bytes) override {
    require(size_bytes == 4 || size_bytes == 8);
    return {};
  }

 private:
  std::uint64_t cpsr_;
};

// User mode in A32 and T32, and in an IT block.
constexpr std::uint64_t kArmStates[] = {0x10, 0x30, 0x1c30};

void fuzz_arm(SpanMemory& code) {
  for (const std::uint64_t state : kArmStates) {
    Vcpu vcpu(state);
    static_cast<void>(swat::os::arm::emulate(code, vcpu, kCode, 32));
    const auto read = swat::os::arm::read_of_slot(code, vcpu, kCode);
    require(!read || read->size_bytes == 4);
  }
  const auto path = swat::os::arm::read_entry_path(code, kCode);
  require(!path || path->loads.size() <= 1024);
  static_cast<void>(swat::os::arm::number_in_instruction(code, kCode + 4));
}

void fuzz_aarch64(SpanMemory& code) {
  Vcpu vcpu;
  static_cast<void>(swat::os::aarch64::emulate(code, vcpu, kCode, 64));
  const auto read = swat::os::aarch64::read_of_slot(code, vcpu, kCode);
  require(!read || (read->size_bytes >= 4 && read->size_bytes <= 16));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  SpanMemory code(kCode, std::as_bytes(std::span(data, size)));
  for (const unsigned bits : {32U, 64U}) {
    Vcpu vcpu;
    if (const auto skip = swat::os::x86::understand(code, kCode, bits)) {
      static_cast<void>(skip->apply(vcpu));
    }
  }
  fuzz_arm(code);
  fuzz_aarch64(code);
  const auto store = swat::os::x86::find_entry_store(code, kCode);
  require(!store || store->stop_pc - store->instruction <= 15);
  return 0;
}
