#include "osmodels/linux/current_task.hpp"

#include <unordered_map>

#include "osmodels/linux/blob.hpp"

namespace swat::os {
namespace {

// `mov %gs:disp32,%r64` is 65 REX.W 8b, ModRM with no base (SIB 25), disp32; `mov
// %gs:disp32(%rip),%r64`, which kernels since 6.9 have, ModRM with rip base, disp32 from the next
// instruction. [Intel SDM vol. 2, table 2-2]
std::optional<std::uint64_t> gs_load_at(const symbols::KernelImage& image, std::size_t at) {
  constexpr std::size_t kLongest = 9;
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(image.bytes[at + i]); };
  if (at + kLongest > image.bytes.size() || byte(0) != 0x65) return {};
  if ((byte(1) & 0xfb) != 0x48 || byte(2) != 0x8b) return {};
  const unsigned mode = byte(3) & 0xc7;
  const bool absolute = mode == 0x04 && byte(4) == 0x25;
  if (!absolute && mode != 0x05) return {};
  const std::size_t displacement_at = at + (absolute ? 5 : 4);
  std::int32_t displacement = 0;
  std::memcpy(&displacement, image.bytes.data() + displacement_at, sizeof(displacement));
  const auto extended = static_cast<std::uint64_t>(std::int64_t{displacement});
  return absolute ? extended : image.address_of(displacement_at + 4).value + extended;
}

// Slots that the kernel's code loads, the commonest first.
std::vector<std::uint64_t> common_gs_loads(const symbols::KernelImage& image) {
  constexpr std::size_t kMost = 64;
  std::unordered_map<std::uint64_t, std::size_t> counts;
  for (std::size_t i = 0; i < image.bytes.size(); ++i) {
    if (image.bytes[i] != std::byte{0x65}) continue;
    if (const auto slot = gs_load_at(image, i)) ++counts[*slot];
  }
  std::vector<std::pair<std::size_t, std::uint64_t>> ranked;
  ranked.reserve(counts.size());
  for (const auto& [slot, count] : counts) ranked.emplace_back(count, slot);
  std::ranges::sort(ranked, std::greater{});
  std::vector<std::uint64_t> slots;
  for (const auto& [count, slot] : ranked) {
    if (slots.size() < kMost) slots.push_back(slot);
  }
  return slots;
}

}  // namespace

std::vector<Va> CurrentTask::base_candidates(unsigned vcpu) {
  std::vector<Va> bases;
  const auto add = [&](std::string_view name) {
    const Result<std::uint64_t> value = guest_.reg(vcpu, name);
    if (value && is_kernel_pointer(*value)) bases.push_back(Va{*value});
  };
  // In user mode the kernel's base waits in KERNEL_GS_BASE; at an entry before `swapgs` too, where
  // the other one is the user's and could be made to look like the kernel's only with FSGSBASE.
  constexpr std::uint64_t kPrivilegeLevel = 3;
  const Result<std::uint64_t> cs = guest_.reg(vcpu, "cs");
  const bool in_user_mode = cs && (*cs & kPrivilegeLevel) == kPrivilegeLevel;
  add(in_user_mode ? "k_gs_base" : "gs_base");
  if (!in_user_mode) add("k_gs_base");
  return bases;
}

Result<Thread> CurrentTask::task_at(Va base, std::uint64_t offset) {
  return tasks_.read(Va{SWAT_TRY(read_as<std::uint64_t>(kernel_, base + offset))});
}

bool CurrentTask::fits(std::uint64_t offset) {
  bool any = false;
  for (unsigned vcpu = 0; vcpu < cpus_.size(); ++vcpu) {
    const std::vector<Va> bases = base_candidates(vcpu);
    if (bases.empty()) continue;  // not started yet
    any = std::ranges::any_of(bases, [&](Va base) { return task_at(base, offset).has_value(); });
    if (!any) return false;
  }
  return any;
}

Result<> CurrentTask::find_slot(const symbols::SymbolTable& symbols,
                                const symbols::KernelImage& image) {
  for (const std::string_view name : {"pcpu_hot", "current_task", "per_cpu__current_task"}) {
    const std::optional<Va> symbol = symbols.find(name);
    if (!symbol || !fits(symbol->value)) continue;
    slot_ = CurrentSlot{symbol->value, "kernel symbol " + std::string(name)};
    return {};
  }
  for (const std::uint64_t offset : common_gs_loads(image)) {
    if (!fits(offset)) continue;
    slot_ = CurrentSlot{offset, "commonest load of a task relative to gs in kernel code"};
    return {};
  }
  return fail(Errc::kNotFound, "no per-CPU slot that holds the running task");
}

Result<Va> CurrentTask::per_cpu_base(unsigned vcpu) {
  if (vcpu >= cpus_.size()) return fail(Errc::kNotFound, "no such vCPU");
  Cpu& cpu = cpus_[vcpu];
  if (cpu.base) return *cpu.base;
  if (!slot_) return fail(Errc::kNotFound, "no per-CPU slot that holds the running task");
  for (const Va base : base_candidates(vcpu)) {
    if (!task_at(base, slot_->offset)) continue;
    // The per-CPU area is allocated at boot and never moves. [mm/percpu.c, setup_per_cpu_areas]
    cpu.slot = SWAT_TRY(kernel_.translate(base + slot_->offset)).at;
    cpu.base = base;
    return base;
  }
  return fail(Errc::kNotFound, "no gs base of this vCPU is the kernel's");
}

Result<Thread> CurrentTask::read(unsigned vcpu, std::span<const PhysicalMemory::Piece> along) {
  if (vcpu >= cpus_.size() || !cpus_[vcpu].base) SWAT_CHECK(per_cpu_base(vcpu));
  Cpu& cpu = cpus_[vcpu];
  auto thread = tasks_.read_pointed_to(cpu.slot, cpu.last, along);
  if (thread && (cpu.recent.empty() || cpu.recent.front() != cpu.last)) {
    std::erase(cpu.recent, cpu.last);
    cpu.recent.insert(cpu.recent.begin(), cpu.last);
    if (cpu.recent.size() > kRecent) cpu.recent.pop_back();
  }
  return thread;
}

std::span<const PhysicalMemory::Piece> CurrentTask::guess(
    unsigned vcpu, std::span<const PhysicalMemory::Piece> along) {
  if (vcpu >= cpus_.size() || cpus_[vcpu].recent.empty()) return {};
  return tasks_.guess(cpus_[vcpu].slot, cpus_[vcpu].recent, along);
}

}  // namespace swat::os
