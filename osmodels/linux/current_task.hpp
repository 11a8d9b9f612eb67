// Which task runs on a vCPU: one implementation for each way in which a kernel keeps it.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "osmodels/guest.hpp"
#include "osmodels/linux/task_reader.hpp"
#include "symbols/kernel_image.hpp"
#include "symbols/symbol_table.hpp"

namespace swat::os {

class CurrentTask {
 public:
  virtual ~CurrentTask() = default;

  // How it tells, for `doctor`: "per-CPU offset 0x1fbc0, kernel symbol current_task".
  [[nodiscard]] virtual std::string found_by() const = 0;
  // Hot path: one batch of reads, in which `along` is read too, and no round trip to the stub that
  // could be spared. The vCPU is in user mode, in the kernel, or at an entry of it.
  [[nodiscard]] virtual Result<Thread> read(unsigned vcpu,
                                            std::span<const PhysicalMemory::Piece> along = {}) = 0;
  // TaskReader's two halves, on the guess that the vCPU runs what it ran lately. Empty before the
  // first read(), and where this way of telling has no guess.
  [[nodiscard]] virtual std::span<const PhysicalMemory::Piece> guess(
      unsigned /*vcpu*/, std::span<const PhysicalMemory::Piece> /*along*/) {
    return {};
  }
  // Constant for each vCPU. kUnsupported: nothing of it has to be known for this way of telling.
  [[nodiscard]] virtual Result<Va> per_cpu_base(unsigned /*vcpu*/) {
    return fail(Errc::kUnsupported, "the per-CPU area is not looked for");
  }
};

// What the ways of telling look at. All references outlive what is made of them.
struct CurrentTaskInput {
  GuestView& guest;
  AddressSpace& kernel;
  const LinuxProfile& profile;
  TaskReader& tasks;
  const symbols::SymbolTable& symbols;
  symbols::KernelImage image;
  Va init_task;
};

// The first way that tells of a task on every vCPU now. kNotFound: none does, and why.
[[nodiscard]] Result<std::unique_ptr<CurrentTask>> find_current_task(const CurrentTaskInput& input);

}  // namespace swat::os
