#include "osmodels/linux/result_words.hpp"

#include "osmodels/linux/kernel_layout.hpp"

namespace swat::os {

Result<ResultWords> ResultWords::find(VirtualMemory& kernel, Va entry) {
  return ResultWords(SWAT_TRY(x86::find_syscall_frame(kernel, entry)));
}

Result<PhysicalMemory::Piece> ResultWords::piece(unsigned vcpu, AddressSpace& kernel,
                                                 Va per_cpu_base) {
  if (vcpu >= cpus_.size()) cpus_.resize(vcpu + 1);
  Cpu& cpu = cpus_[vcpu];
  // The per-CPU area is allocated at boot and never moves. [mm/percpu.c, setup_per_cpu_areas]
  if (!cpu.at) cpu.at = SWAT_TRY(kernel.translate(per_cpu_base + frame_.stack_gs_offset)).at;
  return PhysicalMemory::Piece{*cpu.at, std::as_writable_bytes(std::span(&cpu.stack, 1))};
}

Result<ResultWord> ResultWords::last(unsigned vcpu) const {
  const std::uint64_t stack = vcpu < cpus_.size() ? cpus_[vcpu].stack : 0;
  if (!kX86_64Layout.is_pointer(stack)) {
    return fail(Errc::kBadImage, "the per-CPU word of the stack holds no address", stack);
  }
  const Va frame = Va{stack} + frame_.bottom;
  return ResultWord{
      Va{stack} + frame_.result, frame, {}, frame + x86::SyscallFrame::kUserPcFromBottom};
}

}  // namespace swat::os
