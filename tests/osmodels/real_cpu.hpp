// The machine's own CPU in 64-bit mode, one instruction at a time: a child process whose registers
// and memory are set, stepped and read by ptrace(2).
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "symbols/address.hpp"

namespace swat::test {

class RealCpu {
 public:
  static constexpr std::size_t kPage = 4096;

  RealCpu() {
    void* at = mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return;
    shared_ = static_cast<std::uint8_t*>(at);
    child_ = fork();
    if (child_ == 0) {
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGSTOP);
      _exit(0);
    }
    int status = 0;
    is_there_ = waitpid(child_, &status, 0) == child_ && WIFSTOPPED(status) &&
                ptrace(PTRACE_GETREGS, child_, nullptr, &start_) == 0;
  }
  ~RealCpu() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    if (shared_ != nullptr) munmap(shared_, 2 * kPage);
  }
  RealCpu(const RealCpu&) = delete;
  RealCpu& operator=(const RealCpu&) = delete;

  [[nodiscard]] bool is_there() const { return is_there_; }  // false: ptrace is not allowed here
  [[nodiscard]] Va code() const { return Va{address()} + 1024; }
  [[nodiscard]] Va stack() const { return Va{address()} + kPage + 2048; }
  [[nodiscard]] std::uint64_t word(Va at, unsigned size_bytes) const {
    std::uint64_t value = 0;
    std::memcpy(&value, shared_ + (at.value - address()), size_bytes);
    return value;
  }

  // Registers as a start: rip and rsp in the shared pages.
  [[nodiscard]] user_regs_struct start() const {
    user_regs_struct regs = start_;
    regs.rip = code().value;
    regs.rsp = stack().value;
    regs.orig_rax = ~0ULL;  // in no syscall
    return regs;
  }

  // Executes `instruction` from `regs`; nothing when it raised anything but the step's own trap.
  [[nodiscard]] std::optional<user_regs_struct> step(std::span<const std::uint8_t> instruction,
                                                     const user_regs_struct& regs) {
    std::memset(shared_, 0x90, kPage);
    std::memset(shared_ + kPage, 0xa5, kPage);
    std::memcpy(shared_ + (code().value - address()), instruction.data(), instruction.size());
    user_regs_struct after = regs;
    int status = 0;
    if (ptrace(PTRACE_SETREGS, child_, nullptr, &after) != 0) return {};
    if (ptrace(PTRACE_SINGLESTEP, child_, nullptr, nullptr) != 0) return {};
    if (waitpid(child_, &status, 0) != child_ || !WIFSTOPPED(status)) return {};
    if (WSTOPSIG(status) != SIGTRAP) return {};
    if (ptrace(PTRACE_GETREGS, child_, nullptr, &after) != 0) return {};
    return after;
  }

 private:
  [[nodiscard]] std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(shared_); }

  std::uint8_t* shared_ = nullptr;
  pid_t child_ = -1;
  bool is_there_ = false;
  user_regs_struct start_{};
};

}  // namespace swat::test
