// Any bytes as the code of a function in either mode, and as a kernel's entry path.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

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
class Vcpu final : public swat::os::x86::VcpuState {
 public:
  [[nodiscard]] swat::Result<std::uint64_t> reg(std::string_view name) override {
    if (name.empty()) std::abort();
    return 0x7000;
  }
  [[nodiscard]] swat::Result<> set_reg(std::string_view name, std::uint64_t) override {
    if (name.empty()) std::abort();
    return {};
  }
  [[nodiscard]] swat::Result<> store(Va, std::uint64_t, unsigned size_bytes) override {
    if (size_bytes != 4 && size_bytes != 8) std::abort();
    return {};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Code code(std::as_bytes(std::span(data, size)));
  for (const unsigned bits : {32U, 64U}) {
    Vcpu vcpu;
    if (const auto skip = swat::os::x86::understand(code, kCode, bits)) {
      static_cast<void>(skip->apply(vcpu));
    }
  }
  const auto store = swat::os::x86::find_entry_store(code, kCode);
  if (store && store->stop_pc - store->instruction > 15) std::abort();
  return 0;
}
