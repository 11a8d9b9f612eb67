#include "osmodels/linux/per_cpu_task.hpp"

#include <cstdio>
#include <cstring>
#include <unordered_map>

#include "osmodels/aarch64/entry_task.hpp"
#include "osmodels/linux/gs_base.hpp"
#include "osmodels/linux/run_queue_slots.hpp"

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

// `mov moffs32,%eax` is a1 moffs32; `mov disp32,%r32` is 8b, ModRM with disp32 alone.
std::optional<std::uint64_t> load32_at(const symbols::KernelImage& image, std::size_t at) {
  constexpr std::size_t kLongest = 6;
  if (at + kLongest > image.bytes.size()) return {};
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(image.bytes[at + i]); };
  const bool into_eax = byte(0) == 0xa1;
  if (!into_eax && (byte(0) != 0x8b || (byte(1) & 0xc7) != 0x05)) return {};
  std::uint32_t address = 0;
  std::memcpy(&address, image.bytes.data() + at + (into_eax ? 1 : 2), sizeof(address));
  if (!image.range().contains(Va{address}) || address % sizeof(address) != 0) return {};
  return address;
}

constexpr std::byte kFsPrefix{0x64};

std::optional<std::uint64_t> fs_load_at(const symbols::KernelImage& image, std::size_t at) {
  return image.bytes[at] == kFsPrefix ? load32_at(image, at + 1) : std::nullopt;
}

std::optional<std::uint64_t> plain_load_at(const symbols::KernelImage& image, std::size_t at) {
  return at > 0 && image.bytes[at - 1] != kFsPrefix ? load32_at(image, at) : std::nullopt;
}

// Slots that the kernel's code loads, the commonest first; `prefix` is the first byte of each load,
// if they have one in common.
template <std::optional<std::uint64_t> (*load_at)(const symbols::KernelImage&, std::size_t),
          unsigned char prefix = 0>
std::vector<std::uint64_t> common_loads(const symbols::KernelImage& image) {
  constexpr std::size_t kMost = 64;
  std::unordered_map<std::uint64_t, std::size_t> counts;
  for (std::size_t i = 0; i < image.bytes.size(); ++i) {
    if constexpr (prefix != 0) {
      const void* next = std::memchr(image.bytes.data() + i, prefix, image.bytes.size() - i);
      if (next == nullptr) break;
      i = static_cast<std::size_t>(static_cast<const std::byte*>(next) - image.bytes.data());
    }
    if (const auto slot = load_at(image, i)) ++counts[*slot];
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

std::vector<Va> gs_areas(GuestView& guest, VirtualMemory&, const KernelLayout& layout,
                         unsigned vcpu) {
  return gs_bases(guest, layout, vcpu);
}

// What a CPU adds to the address of a per-CPU variable in the image; 0 until it is started.
// [arch/arm64/include/asm/percpu.h]
std::vector<Va> thread_pointers(GuestView& guest, VirtualMemory&, const KernelLayout&,
                                unsigned vcpu) {
  const Result<std::uint64_t> value = guest.reg(vcpu, "TPIDR_EL1");
  return value && *value != 0 ? std::vector{Va{*value}} : std::vector<Va>{};
}

// fs holds the user's selector until the kernel's entry code has saved it; the descriptor that it
// then loads is the same all the time. Its base counts from where the per-CPU section was linked,
// modulo 2^32. [arch/x86/include/asm/segment.h, GDT_ENTRY_PERCPU]
std::vector<Va> fs_descriptors(GuestView& guest, VirtualMemory& kernel, const KernelLayout&,
                               unsigned vcpu) {
  constexpr std::uint64_t kPerCpuEntry = 27;
  const auto tables = guest.x86_tables(vcpu);
  if (!tables) return {};
  const auto raw = read_as<std::uint64_t>(kernel, tables->gdt_base + kPerCpuEntry * 8);
  if (!raw || *raw == 0) return {};
  return {Va{(*raw >> 16 & 0xffffff) | *raw >> 56 << 24}};
}

// [arch/arm/include/asm/percpu.h]; 0 in a kernel for one CPU, too.
std::vector<Va> software_thread_ids(GuestView& guest, VirtualMemory&, const KernelLayout&,
                                    unsigned vcpu) {
  const Result<std::uint64_t> value = guest.reg(vcpu, "TPIDRPRW");
  return value && *value != 0 ? std::vector{Va{*value}} : std::vector<Va>{};
}

// A kernel for one CPU has plain variables.
std::vector<Va> no_base(GuestView& guest, VirtualMemory& kernel, const KernelLayout& layout,
                        unsigned vcpu) {
  const bool is_arm = guest.architecture() == Architecture::kArm;
  if (is_arm && !software_thread_ids(guest, kernel, layout, vcpu).empty()) return {};
  return {Va{0}};
}

}  // namespace

struct PerCpuRow {
  Architecture architecture;  // kX86_64: or i386
  unsigned word_bytes;        // of the kernel
  std::vector<Va> (*bases)(GuestView&, VirtualMemory& kernel, const KernelLayout&, unsigned vcpu);
  // current_task until 6.1 and since 6.15, pcpu_hot from 6.2 to 6.14, where it is the first member;
  // __entry_task since 4.10, what SP_EL0 is set to at each entry from user mode.
  std::initializer_list<std::string_view> symbols;
  std::vector<std::uint64_t> (*in_code)(const symbols::KernelImage&);  // or null, and:
  std::string_view code_says;
  std::vector<std::uint64_t> (*in_data)(const CurrentTaskInput&, Va base) = nullptr;
};

namespace {

const PerCpuRow kRows[] = {
    {Architecture::kX86_64,
     8,
     gs_areas,
     {"pcpu_hot", "current_task", "per_cpu__current_task"},
     common_loads<gs_load_at, 0x65>,
     "commonest load of a task relative to gs in kernel code"},
    {Architecture::kX86_64,
     4,
     fs_descriptors,
     {"pcpu_hot", "current_task", "per_cpu__current_task"},
     common_loads<fs_load_at, 0x64>,
     "commonest load of a task relative to fs in kernel code"},
    {Architecture::kX86_64,
     4,
     no_base,
     {"pcpu_hot", "current_task", "per_cpu__current_task"},
     common_loads<plain_load_at>,
     "commonest load of a task in kernel code"},
    {Architecture::kAarch64,
     8,
     thread_pointers,
     {"__entry_task"},
     aarch64::entry_task_slots,
     "what the entry from user mode loads SP_EL0 from"},
    // Until 4.9 the task is behind thread_info, on the kernel stack, alone.
    {Architecture::kAarch64,
     8,
     thread_pointers,
     {},
     nullptr,
     "curr of the CPU's run queue",
     run_queue_slots},
    {Architecture::kArm,
     4,
     software_thread_ids,
     {},
     nullptr,
     "curr of the CPU's run queue",
     run_queue_slots},
    {Architecture::kArm, 4, no_base, {}, nullptr, "curr of the only run queue", run_queue_slots},
};

std::vector<const PerCpuRow*> rows_of(Architecture architecture, const KernelLayout& layout) {
  const bool is_x86 = architecture == Architecture::kI386;
  const Architecture family = is_x86 ? Architecture::kX86_64 : architecture;
  std::vector<const PerCpuRow*> rows;
  for (const PerCpuRow& row : kRows) {
    if (row.architecture == family && row.word_bytes == layout.word_bytes) rows.push_back(&row);
  }
  return rows;
}

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 19> text;
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

}  // namespace

Result<std::unique_ptr<CurrentTask>> PerCpuTask::find(const CurrentTaskInput& input) {
  if (rows_of(input.guest.architecture(), input.profile.layout).empty()) {
    return fail(Errc::kUnsupported, "no per-CPU slot of the running task on this architecture");
  }
  // Before 4.9 some other variable would be taken for it: the stack tells, or nothing does.
  const bool is_arm = input.guest.architecture() == Architecture::kArm;
  if (!is_arm && input.profile.layout.word_bytes == 4 && !input.profile.task_thread_flags) {
    return fail(Errc::kUnsupported, "thread_info is on the kernel stack");
  }
  std::unique_ptr<PerCpuTask> made(new PerCpuTask(input));
  SWAT_CHECK(made->find_slot(input));
  return made;
}

std::string PerCpuTask::found_by() const {
  return "per-CPU offset " + hexadecimal(slot_.offset) + ", " + slot_.found_by;
}

std::vector<Va> PerCpuTask::base_candidates(unsigned vcpu) {
  return bases_ == nullptr ? std::vector<Va>{} : bases_(guest_, kernel_, layout_, vcpu);
}

Va PerCpuTask::slot_at(Va base, std::uint64_t offset) const {
  const Va at = base + offset;
  return layout_.word_bytes == 4 ? Va{at.value & 0xffffffff} : at;
}

Result<Thread> PerCpuTask::task_at(Va base, std::uint64_t offset) {
  return tasks_.read(Va{SWAT_TRY(read_word(kernel_, slot_at(base, offset), layout_))});
}

bool PerCpuTask::fits(std::uint64_t offset) {
  bool any = false;
  for (unsigned vcpu = 0; vcpu < cpus_.size(); ++vcpu) {
    const std::vector<Va> bases = base_candidates(vcpu);
    if (bases.empty()) continue;  // not started yet
    any = std::ranges::any_of(bases, [&](Va base) { return task_at(base, offset).has_value(); });
    if (!any) return false;
  }
  return any;
}

std::vector<std::uint64_t> PerCpuTask::candidates(const PerCpuRow& row,
                                                  const CurrentTaskInput& input) {
  if (row.in_code != nullptr) return row.in_code(input.image);
  const std::vector<Va> bases = base_candidates(0);
  return bases.empty() ? std::vector<std::uint64_t>{} : row.in_data(input, bases.front());
}

Result<> PerCpuTask::find_slot(const CurrentTaskInput& input) {
  const std::vector<const PerCpuRow*> rows = rows_of(guest_.architecture(), layout_);
  for (const PerCpuRow* row : rows) {
    bases_ = row->bases;
    for (const std::string_view name : row->symbols) {
      const std::optional<Va> symbol = input.symbols.find(name);
      if (!symbol || !fits(symbol->value)) continue;
      slot_ = {symbol->value, "kernel symbol " + std::string(name)};
      return {};
    }
  }
  for (const PerCpuRow* row : rows) {
    bases_ = row->bases;
    for (const std::uint64_t offset : candidates(*row, input)) {
      if (!fits(offset)) continue;
      slot_ = {offset, std::string(row->code_says)};
      return {};
    }
  }
  return fail(Errc::kNotFound, "no per-CPU slot that holds the running task");
}

Result<Va> PerCpuTask::per_cpu_base(unsigned vcpu) {
  if (vcpu >= cpus_.size()) return fail(Errc::kNotFound, "no such vCPU");
  Cpu& cpu = cpus_[vcpu];
  if (cpu.base) return *cpu.base;
  for (const Va base : base_candidates(vcpu)) {
    if (!task_at(base, slot_.offset)) continue;
    // The per-CPU area is allocated at boot and never moves. [mm/percpu.c, setup_per_cpu_areas]
    cpu.slot = SWAT_TRY(kernel_.translate(slot_at(base, slot_.offset))).at;
    cpu.base = base;
    return base;
  }
  return fail(Errc::kNotFound, "no per-CPU base of this vCPU is the kernel's");
}

Result<Thread> PerCpuTask::read(unsigned vcpu, std::span<const PhysicalMemory::Piece> along) {
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

std::span<const PhysicalMemory::Piece> PerCpuTask::guess(
    unsigned vcpu, std::span<const PhysicalMemory::Piece> along) {
  if (vcpu >= cpus_.size() || cpus_[vcpu].recent.empty()) return {};
  return tasks_.guess(cpus_[vcpu].slot, cpus_[vcpu].recent, along);
}

}  // namespace swat::os
