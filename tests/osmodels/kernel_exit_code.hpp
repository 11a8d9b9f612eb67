// Real kernels' ways into and out of a syscall, for the tests of what is found in them.
#pragma once

#include <array>
#include <cstdint>

#include "tests/osmodels/code_memory.hpp"

namespace swat::test {

struct KernelCode {
  const char* version;
  Va entry;
  const char* entry_code;
  Va iret_path;
  const char* iret_code;
};

inline constexpr KernelCode kKernelCode[] = {
#include "tests/osmodels/kernel_exit_code.inc"
};

// Both pieces of code, and nothing else.
class KernelMemory final : public VirtualMemory {
 public:
  explicit KernelMemory(const KernelCode& code)
      : pieces_{CodeMemory::of_hex(code.entry, code.entry_code),
                CodeMemory::of_hex(code.iret_path, code.iret_code)} {}

  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override {
    return pieces_[0].read(at, into) ? Result<>() : pieces_[1].read(at, into);
  }

 private:
  std::array<CodeMemory, 2> pieces_;
};

}  // namespace swat::test
