// A CPU in 32-bit mode, one instruction at a time: Unicorn's, as not every host's executes 32-bit
// code. Used as real_cpu.hpp is.
#pragma once

#include <sys/user.h>
#include <unicorn/unicorn.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "symbols/address.hpp"

namespace swat::test {

class EmulatedCpu {
 public:
  static constexpr std::size_t kPage = 4096;

  EmulatedCpu() {
    if (uc_open(UC_ARCH_X86, UC_MODE_32, &engine_) != UC_ERR_OK) return;
    is_there_ = uc_mem_map(engine_, kPages, 2 * kPage, UC_PROT_ALL) == UC_ERR_OK;
  }
  ~EmulatedCpu() {
    if (engine_ != nullptr) uc_close(engine_);
  }
  EmulatedCpu(const EmulatedCpu&) = delete;
  EmulatedCpu& operator=(const EmulatedCpu&) = delete;

  [[nodiscard]] bool is_there() const { return is_there_; }
  [[nodiscard]] Va code() const { return Va{kPages} + 1024; }
  [[nodiscard]] Va stack() const { return Va{kPages} + kPage + 2048; }
  [[nodiscard]] std::uint64_t word(Va at, unsigned size_bytes) const {
    std::uint64_t value = 0;
    uc_mem_read(engine_, at.value, &value, size_bytes);
    return value;
  }

  // Registers as a start: rip and rsp in the two pages.
  [[nodiscard]] user_regs_struct start() const {
    user_regs_struct regs{};
    regs.rip = code().value;
    regs.rsp = stack().value;
    regs.eflags = 2;  // the bit that is always set [Intel SDM vol. 1, figure 3-8]
    return regs;
  }

  // Executes `instruction` from `regs`; nothing when the CPU refuses it.
  [[nodiscard]] std::optional<user_regs_struct> step(std::span<const std::uint8_t> instruction,
                                                     const user_regs_struct& regs) {
    fill(kPages, 0x90);
    fill(kPages + kPage, 0xa5);
    uc_mem_write(engine_, code().value, instruction.data(), instruction.size());
    user_regs_struct after = regs;
    for (const Register& known : kRegisters) {
      const auto value = static_cast<std::uint32_t>(after.*known.field);
      uc_reg_write(engine_, known.number, &value);
    }
    constexpr std::uint64_t kNowhere = 0;
    if (uc_emu_start(engine_, code().value, kNowhere, 0, 1) != UC_ERR_OK) return {};
    for (const Register& known : kRegisters) {
      std::uint32_t value = 0;
      uc_reg_read(engine_, known.number, &value);
      after.*known.field = value;
    }
    return after;
  }

 private:
  static constexpr std::uint64_t kPages = 0x40000000;

  struct Register {
    int number;
    unsigned long long user_regs_struct::*field;
  };
  static constexpr Register kRegisters[] = {
      {UC_X86_REG_EAX, &user_regs_struct::rax},       {UC_X86_REG_EBX, &user_regs_struct::rbx},
      {UC_X86_REG_ECX, &user_regs_struct::rcx},       {UC_X86_REG_EDX, &user_regs_struct::rdx},
      {UC_X86_REG_ESI, &user_regs_struct::rsi},       {UC_X86_REG_EDI, &user_regs_struct::rdi},
      {UC_X86_REG_EBP, &user_regs_struct::rbp},       {UC_X86_REG_ESP, &user_regs_struct::rsp},
      {UC_X86_REG_EFLAGS, &user_regs_struct::eflags}, {UC_X86_REG_EIP, &user_regs_struct::rip},
  };

  void fill(std::uint64_t page, std::uint8_t byte) {
    const std::vector<std::uint8_t> bytes(kPage, byte);
    uc_mem_write(engine_, page, bytes.data(), bytes.size());
  }

  uc_engine* engine_ = nullptr;
  bool is_there_ = false;
};

}  // namespace swat::test
