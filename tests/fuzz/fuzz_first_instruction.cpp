// Any bytes as the code of a function in either mode, and as a kernel's entry path; of x86 and ARM.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "osmodels/arm/emulation.hpp"
#include "osmodels/arm/entry_path.hpp"
#include "osmodels/x86/entry_path.hpp"
#include "osmodels/x86/first_instruction.hpp"

namespace {

using swat::Va;

constexpr Va kCode{0xffffffff81000ff0};  // an instruction may straddle the end of its page

class Code final : public swat::VirtualMemory {
 public:
  explicit Code(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] swat::Result<> read(Va at, std::span<std::byte> into) override {
    const std::uint64_t offset = at - kCode;
    if (offset > bytes_.size() || bytes_.size() - offset < into.size()) {
      return swat::fail(swat::Errc::kFault, "not there", at.value);
    }
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
};

// Registers that are all there, and a stack that is not.
class Vcpu final : public swat::os::VcpuState {
 public:
  explicit Vcpu(std::uint64_t cpsr = 0) : cpsr_(cpsr) {}
  [[nodiscard]] swat::Result<std::uint64_t> reg(std::string_view name) override {
    if (name.empty()) std::abort();
    return name == "cpsr" ? cpsr_ : 0x7000;
  }
  [[nodiscard]] swat::Result<> set_reg(std::string_view name, std::uint64_t) override {
    if (name.empty()) std::abort();
    return {};
  }
  [[nodiscard]] swat::Result<> store(Va, std::uint64_t, unsigned size_bytes) override {
    if (size_bytes != 4 && size_bytes != 8) std::abort();
    return {};
  }

 private:
  std::uint64_t cpsr_;
};

// User mode in A32 and T32, and in an IT block.
constexpr std::uint64_t kArmStates[] = {0x10, 0x30, 0x1c30};

void fuzz_arm(Code& code) {
  for (const std::uint64_t state : kArmStates) {
    Vcpu vcpu(state);
    static_cast<void>(swat::os::arm::emulate(code, vcpu, kCode, 32));
    const auto read = swat::os::arm::read_of_slot(code, vcpu, kCode);
    if (read && read->size_bytes != 4) std::abort();
  }
  const auto path = swat::os::arm::read_entry_path(code, kCode);
  if (path && path->loads.size() > 1024) std::abort();
  static_cast<void>(swat::os::arm::number_in_instruction(code, kCode + 4));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Code code(std::as_bytes(std::span(data, size)));
  for (const unsigned bits : {32U, 64U}) {
    Vcpu vcpu;
    if (const auto skip = swat::os::x86::understand(code, kCode, bits)) {
      static_cast<void>(skip->apply(vcpu));
    }
  }
  fuzz_arm(code);
  const auto store = swat::os::x86::find_entry_store(code, kCode);
  if (store && store->stop_pc - store->instruction > 15) std::abort();
  return 0;
}
