// The running task in a slot of the per-CPU area, whose base a register has (x86_64, AArch64), or
// the descriptor of one (i386); or in a variable of an i386 kernel for one CPU. On ARM, and AArch64
// until 4.9: curr of the CPU's run queue (run_queue_slots.hpp).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "osmodels/linux/current_task.hpp"

namespace swat::os {

struct PerCpuRow;  // what differs between architectures: per_cpu_task.cpp

class PerCpuTask final : public CurrentTask {
 public:
  // By symbol; else by the kernel's own code, or by its data. Each must hold a task on every vCPU
  // that has been started. kUnsupported: this architecture has no such slot; kNotFound: none was
  // found.
  [[nodiscard]] static Result<std::unique_ptr<CurrentTask>> find(const CurrentTaskInput& input);

  [[nodiscard]] std::string found_by() const override;
  [[nodiscard]] Result<Thread> read(unsigned vcpu,
                                    std::span<const PhysicalMemory::Piece> along) override;
  [[nodiscard]] std::span<const PhysicalMemory::Piece> guess(
      unsigned vcpu, std::span<const PhysicalMemory::Piece> along) override;
  // Kept after the first success.
  [[nodiscard]] Result<Va> per_cpu_base(unsigned vcpu) override;

 private:
  static constexpr std::size_t kRecent = 6;  // 60 pieces or so: they fit one write
  struct Cpu {
    std::optional<Va> base;
    Pa slot;                 // when base is known
    Va last;                 // the task that was there the last time; null: none yet
    std::vector<Va> recent;  // tasks that were there, the last one first
  };
  // Offset of the slot from the per-CPU base, and where from.
  struct Slot {
    std::uint64_t offset = 0;
    std::string found_by;
  };

  explicit PerCpuTask(const CurrentTaskInput& input)
      : guest_(input.guest),
        kernel_(input.kernel),
        layout_(input.profile.layout),
        tasks_(input.tasks),
        cpus_(input.guest.vcpu_count()) {}

  [[nodiscard]] Result<> find_slot(const CurrentTaskInput& input);
  [[nodiscard]] std::vector<std::uint64_t> candidates(const PerCpuRow& row,
                                                      const CurrentTaskInput& input);
  [[nodiscard]] std::vector<Va> base_candidates(unsigned vcpu);
  [[nodiscard]] Va slot_at(Va base, std::uint64_t offset) const;
  // Whether `base + offset` holds a task.
  [[nodiscard]] Result<Thread> task_at(Va base, std::uint64_t offset);
  [[nodiscard]] bool fits(std::uint64_t offset);

  GuestView& guest_;
  AddressSpace& kernel_;
  const KernelLayout& layout_;
  TaskReader& tasks_;
  std::vector<Cpu> cpus_;
  std::vector<Va> (*bases_)(GuestView&, VirtualMemory&, const KernelLayout&, unsigned) = nullptr;
  Slot slot_;
};

}  // namespace swat::os
