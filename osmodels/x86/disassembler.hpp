// Capstone, wrapped: x86 instructions out of guest memory, one at a time.
#pragma once

#include <capstone/capstone.h>

#include <memory>
#include <optional>

#include "symbols/memory.hpp"

namespace swat::os::x86 {

// A decoded instruction and its detail, as Capstone gives it.
class Instruction {
 public:
  explicit Instruction(cs_insn* insn) : insn_(insn) {}
  [[nodiscard]] const cs_insn& operator*() const { return *insn_; }
  [[nodiscard]] const cs_insn* operator->() const { return insn_.get(); }
  [[nodiscard]] const cs_x86& x86() const { return insn_->detail->x86; }
  [[nodiscard]] Va next() const { return Va{insn_->address + insn_->size}; }
  // Where a direct jump, conditional or not, leads.
  [[nodiscard]] std::optional<Va> jump_target() const;
  // The instruction that is always executed after this one: the next, or the target of a direct
  // unconditional jump. None where the path may fork, or leaves the routine.
  [[nodiscard]] std::optional<Va> only_successor() const;
  [[nodiscard]] bool writes_cr3() const;
  // The offset from the gs base, modulo 2^64, that operand `index` lies at, if it is memory at a
  // fixed one. gs:disp(%rip) is what kernels since 6.15 use: it counts from the next instruction.
  [[nodiscard]] std::optional<std::uint64_t> gs_offset(std::size_t index) const;

 private:
  struct Free {
    void operator()(cs_insn* insn) const { cs_free(insn, 1); }
  };
  std::unique_ptr<cs_insn, Free> insn_;
};

class Disassembler {
 public:
  // `bits` is 32 or 64. kUnsupported when Capstone was built without x86.
  [[nodiscard]] static Result<Disassembler> open(unsigned bits);
  // kFault: not readable; kBadImage: no instruction there.
  [[nodiscard]] Result<Instruction> at(VirtualMemory& memory, Va address) const;

 private:
  struct Close {
    void operator()(csh* handle) const {
      cs_close(handle);
      delete handle;
    }
  };
  explicit Disassembler(std::unique_ptr<csh, Close> handle) : handle_(std::move(handle)) {}
  std::unique_ptr<csh, Close> handle_;
};

}  // namespace swat::os::x86
