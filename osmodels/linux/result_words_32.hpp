// Where the running thread of each vCPU keeps its syscall's result (i386): in struct pt_regs at the
// upper end of its kernel stack. The way out pops it from there, or copies it to another stack.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "osmodels/model.hpp"
#include "osmodels/page_table.hpp"

namespace swat::os {

class ResultWords32 {
 public:
  // `guest` outlives this. kUnsupported, kFault: its system tables are not known, or not mapped.
  [[nodiscard]] static Result<ResultWords32> find(GuestView& guest, AddressSpace& kernel,
                                                  std::vector<SyscallEntry> entries);

  // What to read, into this object, whenever RAM is read anyway.
  [[nodiscard]] PhysicalMemory::Piece piece(unsigned vcpu);
  // By what piece() last read of this vCPU. kBadImage: that was no stack. Where a call is about to
  // be made its way back is considered as well.
  [[nodiscard]] Result<ResultWord> last(unsigned vcpu, VirtualMemory& kernel);

 private:
  struct Cpu {
    Va tss;
    Pa at;
    std::array<std::uint32_t, 3> words{};  // sp0, ss0, sp1
  };
  ResultWords32(GuestView& guest, std::vector<SyscallEntry> entries)
      : guest_(guest), entries_(std::move(entries)) {}
  [[nodiscard]] bool leaves_by_old_sysexit(unsigned vcpu, VirtualMemory& kernel, Va frame);

  GuestView& guest_;
  std::vector<SyscallEntry> entries_;
  std::uint64_t frame_bytes_ = 0;
  std::vector<Cpu> cpus_;
};

}  // namespace swat::os
