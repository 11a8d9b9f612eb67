#include "osmodels/linux/kernel_stack_task.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kMostBottoms = 1 << 14;
constexpr std::uint64_t kEsp0 = 4;  // in the TSS [Intel SDM vol. 3, figure 8-2]
// CONFIG_4KSTACKS until 2.6.36. [arch/x86/Kconfig.debug]
constexpr std::uint64_t kStackSizes[] = {8192, 4096, 16384};

}  // namespace

Va KernelStackTask::bottom_of(std::uint64_t top) const {
  return Va{(top - 1) & ~(stack_bytes_ - 1)};
}

Result<std::uint64_t> KernelStackTask::stack_top(unsigned vcpu) {
  if (vcpu >= cpus_.size()) return fail(Errc::kNotFound, "no such vCPU");
  Cpu& cpu = cpus_[vcpu];
  if (!cpu.tss_word) {
    const X86SystemTables tables = SWAT_TRY(guest_.x86_tables(vcpu));
    cpu.tss_word = SWAT_TRY(kernel_.translate(tables.tr_base + kEsp0)).at;
  }
  return top_of(vcpu, SWAT_TRY(read_as<std::uint32_t>(guest_.ram(), *cpu.tss_word)));
}

// 2.4's idle task has none; it is always in the kernel.
std::uint64_t KernelStackTask::top_of(unsigned vcpu, std::uint64_t esp0) {
  if (esp0 != 0) return esp0;
  const std::uint64_t sp = guest_.reg(vcpu, "esp").value_or(0) & 0xffffffff;
  return (sp & ~(stack_bytes_ - 1)) + stack_bytes_;
}

Result<std::unique_ptr<CurrentTask>> KernelStackTask::find(const CurrentTaskInput& input) {
  const bool is_x86 = input.guest.architecture() == Architecture::kI386 ||
                      input.guest.architecture() == Architecture::kX86_64;
  if (!is_x86 || input.profile.layout.word_bytes != 4 || input.profile.task_thread_flags) {
    return fail(Errc::kUnsupported, "no task at the bottom of kernel stacks");
  }
  std::unique_ptr<KernelStackTask> made(new KernelStackTask(input));
  SWAT_CHECK(made->find_stack_size());
  return made;
}

Result<> KernelStackTask::find_stack_size() {
  for (const std::uint64_t bytes : kStackSizes) {
    stack_bytes_ = bytes;
    bottoms_.clear();  // which were those of another size
    bool fits = false;
    for (unsigned vcpu = 0; vcpu < cpus_.size(); ++vcpu) {
      const auto top = stack_top(vcpu);
      fits = top && profile_.layout.is_address(*top) && at_bottom(*top, {});
      if (!fits) break;
    }
    if (fits) return {};
  }
  return fail(Errc::kNotFound, "TSS.esp0 leads to no task");
}

std::string KernelStackTask::found_by() const {
  return std::string(profile_.task_list_of_tasks ? "task" : "thread_info") +
         " at the bottom of the kernel stack, " + std::to_string(stack_bytes_) +
         " bytes below TSS.esp0";
}

Result<Thread> KernelStackTask::at_bottom(std::uint64_t top,
                                          std::span<const PhysicalMemory::Piece> along) {
  const Va bottom = bottom_of(top);
  if (profile_.task_list_of_tasks) {
    if (!along.empty()) SWAT_CHECK(guest_.ram().read_batch(along));
    return tasks_.read(bottom);
  }
  auto known = bottoms_.find(top);
  if (known == bottoms_.end()) {
    if (bottoms_.size() >= kMostBottoms) bottoms_.clear();
    // Kernel stacks are in the direct map, whose translations stay.
    known = bottoms_.emplace(top, Bottom{SWAT_TRY(kernel_.translate(bottom)).at, {}}).first;
  }
  return tasks_.read_pointed_to(known->second.at, known->second.task, along);
}

// One batch while the vCPU runs the task that it ran last.
Result<Thread> KernelStackTask::read(unsigned vcpu, std::span<const PhysicalMemory::Piece> along) {
  if (vcpu >= cpus_.size() || !cpus_[vcpu].tss_word || cpus_[vcpu].stack_top == 0) {
    const std::uint64_t top = SWAT_TRY(stack_top(vcpu));
    cpus_[vcpu].stack_top = top;
    return at_bottom(top, along);
  }
  Cpu& cpu = cpus_[vcpu];
  cpu.seen_top = 0;
  std::vector<PhysicalMemory::Piece> pieces(along.begin(), along.end());
  pieces.push_back({*cpu.tss_word, std::as_writable_bytes(std::span(&cpu.seen_top, 1)).first(4)});
  auto thread = at_bottom(cpu.stack_top, pieces);
  const std::uint64_t top = top_of(vcpu, cpu.seen_top);
  if (top == cpu.stack_top) return thread;
  cpu.stack_top = top;
  if (!profile_.layout.is_address(cpu.stack_top)) {
    return fail(Errc::kBadImage, "TSS.esp0 holds no address", cpu.stack_top);
  }
  return at_bottom(cpu.stack_top, {});
}

}  // namespace swat::os
