// Where the running thread of each vCPU keeps its syscall's result (x86_64): a word near the upper
// end of its kernel stack, which a per-CPU word leads to.
#pragma once

#include <optional>
#include <vector>

#include "osmodels/model.hpp"
#include "osmodels/page_table.hpp"
#include "osmodels/x86/syscall_frame.hpp"

namespace swat::os {

class ResultWords {
 public:
  // `entry` is the 64-bit one, reached by SYSCALL; the frame is the same for all others. kNotFound:
  // its code does not tell.
  [[nodiscard]] static Result<ResultWords> find(VirtualMemory& kernel, Va entry);

  // What to read, into this object, whenever RAM is read anyway. `per_cpu_base` is constant for
  // each vCPU.
  [[nodiscard]] Result<PhysicalMemory::Piece> piece(unsigned vcpu, AddressSpace& kernel,
                                                    Va per_cpu_base);
  // By what piece() last read of this vCPU. kBadImage: that was no stack.
  [[nodiscard]] Result<ResultWord> last(unsigned vcpu) const;

 private:
  struct Cpu {
    std::optional<Pa> at;
    std::uint64_t stack = 0;
  };
  explicit ResultWords(x86::SyscallFrame frame) : frame_(frame) {}

  x86::SyscallFrame frame_;
  std::vector<Cpu> cpus_;
};

}  // namespace swat::os
