// Which task runs on a vCPU (i386 until 4.8): the one at the bottom of its kernel stack.
//
// TSS.esp0 is the upper end of the running task's kernel stack, whatever the vCPU does: every
// change of tasks sets it. At the lowest address of the stack, which is aligned to its size, lies
// thread_info, whose first word is the task; in 2.4 the task itself.
// [arch/i386/kernel/process.c, __switch_to; include/asm-i386/thread_info.h; in 2.4
// include/linux/sched.h, union task_union]
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "osmodels/linux/current_task.hpp"

namespace swat::os {

class KernelStackTask final : public CurrentTask {
 public:
  // kUnsupported: this kernel keeps nothing there; kNotFound: TSS.esp0 leads to no task.
  [[nodiscard]] static Result<std::unique_ptr<CurrentTask>> find(const CurrentTaskInput& input);

  [[nodiscard]] std::string found_by() const override;
  [[nodiscard]] Result<Thread> read(unsigned vcpu,
                                    std::span<const PhysicalMemory::Piece> along) override;

 private:
  explicit KernelStackTask(const CurrentTaskInput& input)
      : guest_(input.guest),
        kernel_(input.kernel),
        profile_(input.profile),
        tasks_(input.tasks),
        cpus_(input.guest.vcpu_count()) {}
  [[nodiscard]] Result<> find_stack_size();
  struct Cpu {
    std::optional<Pa> tss_word;  // of TSS.esp0
    std::uint64_t stack_top = 0;
    std::uint64_t seen_top = 0;  // what was read last
  };
  struct Bottom {
    Pa at;    // the word that points to the task
    Va task;  // that it pointed to
  };
  [[nodiscard]] Result<std::uint64_t> stack_top(unsigned vcpu);
  [[nodiscard]] std::uint64_t top_of(unsigned vcpu, std::uint64_t esp0);
  [[nodiscard]] Va bottom_of(std::uint64_t top) const;
  [[nodiscard]] Result<Thread> at_bottom(std::uint64_t top,
                                         std::span<const PhysicalMemory::Piece> along);

  GuestView& guest_;
  AddressSpace& kernel_;
  const LinuxProfile& profile_;
  TaskReader& tasks_;
  std::vector<Cpu> cpus_;
  std::unordered_map<std::uint64_t, Bottom> bottoms_;  // by the stack's upper end
  std::uint64_t stack_bytes_ = 0;
};

}  // namespace swat::os
