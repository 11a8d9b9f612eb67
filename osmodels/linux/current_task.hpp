// Which task runs on a vCPU (x86_64): a slot in the per-CPU area that gs reaches in the kernel.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "osmodels/guest.hpp"
#include "osmodels/linux/task_reader.hpp"
#include "symbols/kernel_image.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

// Offset of the slot from the per-CPU base, and where from.
struct CurrentSlot {
  std::uint64_t offset;
  std::string found_by;
};

class CurrentTask {
 public:
  // All outlive this.
  CurrentTask(GuestView& guest, AddressSpace& kernel, TaskReader& tasks)
      : guest_(guest), kernel_(kernel), tasks_(tasks), cpus_(guest.vcpu_count()) {}

  // By symbol: current_task (until 6.1 and since 6.15), pcpu_hot (6.2 to 6.14, where it is the
  // first member); else by the kernel's own code, in which loading it is the commonest load
  // relative to gs. Either must hold a task on a vCPU now. kNotFound: neither does.
  [[nodiscard]] Result<> find_slot(const symbols::SymbolTable& symbols,
                                   const symbols::KernelImage& image);
  [[nodiscard]] const std::optional<CurrentSlot>& slot() const { return slot_; }

  // Constant for each vCPU, so kept after the first success.
  [[nodiscard]] Result<Va> per_cpu_base(unsigned vcpu);
  // `along` is read in the same batch.
  [[nodiscard]] Result<Thread> read(unsigned vcpu,
                                    std::span<const PhysicalMemory::Piece> along = {});
  // TaskReader's two halves, on the guess that the vCPU runs what it ran lately. Empty before the
  // first read().
  [[nodiscard]] std::span<const PhysicalMemory::Piece> guess(
      unsigned vcpu, std::span<const PhysicalMemory::Piece> along);

 private:
  static constexpr std::size_t kRecent = 6;  // 60 pieces or so: they fit one write
  struct Cpu {
    std::optional<Va> base;
    Pa slot;                 // when base is known
    Va last;                 // the task that was there the last time; null: none yet
    std::vector<Va> recent;  // tasks that were there, the last one first
  };

  [[nodiscard]] std::vector<Va> base_candidates(unsigned vcpu);
  // Whether `base + offset` holds a task.
  [[nodiscard]] Result<Thread> task_at(Va base, std::uint64_t offset);
  [[nodiscard]] bool fits(std::uint64_t offset);

  GuestView& guest_;
  AddressSpace& kernel_;
  TaskReader& tasks_;
  std::vector<Cpu> cpus_;
  std::optional<CurrentSlot> slot_;
};

}  // namespace swat::os
