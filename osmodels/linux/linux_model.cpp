#include "osmodels/linux/linux_model.hpp"

#include "osmodels/arm/exit_path.hpp"
#include "osmodels/linux/current_task.hpp"
#include "osmodels/linux/dispatch_aarch64.hpp"
#include "osmodels/linux/dispatch_arm.hpp"
#include "osmodels/linux/file_memory.hpp"
#include "osmodels/linux/investigation.hpp"
#include "osmodels/linux/mappings.hpp"
#include "osmodels/linux/process_list.hpp"
#include "osmodels/linux/result_words.hpp"
#include "osmodels/linux/result_words_32.hpp"
#include "osmodels/linux/syscall_paths.hpp"
#include "osmodels/linux/task_reader.hpp"
#include "osmodels/x86/page_table_writes.hpp"
#include "symbols/btf.hpp"

namespace swat::os {
namespace {

// A kernel thread's user memory.
class NoMemory final : public VirtualMemory {
 public:
  Result<> read(Va at, std::span<std::byte>) override {
    return fail(Errc::kFault, "a kernel thread has no user memory", at.value);
  }
};

// CR3 holds the root's page, flags and PCID; with page-table isolation the user half's root is the
// page after the kernel half's. [arch/x86/entry/calling.h]
bool is_root_of(std::uint64_t cr3, std::uint64_t root) {
  constexpr std::uint64_t kRootBits = 0x000ffffffffff000;
  constexpr std::uint64_t kUserHalf = 0x1000;
  const std::uint64_t page = cr3 & kRootBits;
  return page == root || ((page & kUserHalf) != 0 && page == root + kUserHalf);
}

class LinuxModel final : public OsModel {
 public:
  LinuxModel(GuestView& guest, Findings found)
      : guest_(guest),
        user_geometry_(*found.kernel.user_geometry),
        kernel_(guest.ram(), *found.kernel.geometry, found.kernel.root),
        release_(std::move(found.release)),
        symbols_(std::move(found.symbols)),
        profile_(std::move(found.profile)),
        init_task_(found.init_task),
        clock_(found.clock),
        provenance_(std::move(found.provenance)),
        paths_(guest, kernel_, symbols_, profile_.layout, found.kernel.entry),
        tasks_(guest.ram(), kernel_, profile_) {
    auto current = find_current_task(
        {guest, kernel_, profile_, tasks_, symbols_, found.kernel.image(), init_task_});
    provenance_.push_back("running task: " +
                          (current ? (*current)->found_by() : current.error().what));
    if (current) current_ = *std::move(current);
  }

  std::string_view name() const override { return "linux"; }
  std::string version() const override { return release_; }
  unsigned word_bytes() const override { return profile_.layout.word_bytes; }
  std::vector<std::string> provenance() const override { return provenance_; }

  Result<std::vector<Process>> processes() override {
    return read_processes(profile_, tasks_, init_task_);
  }

  Result<std::vector<Mapping>> mappings(const Process& process) override {
    if (process.memory_object.is_null()) return std::vector<Mapping>{};
    return read_mappings(kernel_, profile_, process.memory_object);
  }

  std::unique_ptr<VirtualMemory> memory(const Process& process) override {
    if (!process.page_table) return std::make_unique<NoMemory>();
    return std::make_unique<AddressSpace>(user_space(*process.page_table));
  }
  std::unique_ptr<VirtualMemory> memory_and_files(const Process& process) override {
    if (!process.page_table || !knows_page_cache()) return memory(process);
    auto mapped = mappings(process);
    if (!mapped) return memory(process);
    return std::make_unique<FileMemory>(guest_.ram(), user_space(*process.page_table),
                                        PageCache(kernel_, profile_.layout, *page_cache_),
                                        profile_.layout.page_shift, *std::move(mapped));
  }

  VirtualMemory& kernel_memory() override { return kernel_; }
  Result<Thread> current(unsigned vcpu) override {
    if (current_ == nullptr) return fail(Errc::kNotFound, "the running task is not known");
    std::array<PhysicalMemory::Piece, 2> along;
    std::size_t pieces = 0;
    if (clock_) along[pieces++] = clock_->piece();
    if (results_) {
      const Va base = SWAT_TRY(current_->per_cpu_base(vcpu));
      along[pieces++] = SWAT_TRY(results_->piece(vcpu, kernel_, base));
    } else if (results_32_) {
      along[pieces++] = results_32_->piece(vcpu);
    }
    return current_->read(vcpu, std::span(along).first(pieces));
  }
  std::span<const PhysicalMemory::Piece> guess_current(unsigned vcpu) override {
    if (current_ == nullptr) return {};
    if (!clock_) return current_->guess(vcpu, {});
    const PhysicalMemory::Piece time = clock_->piece();
    return current_->guess(vcpu, {&time, 1});
  }
  Result<Thread> judge_current() override { return tasks_.judge(); }
  Result<Thread> thread(Va task, std::uint64_t root_register) override {
    Thread thread = SWAT_TRY(tasks_.read(task));
    const std::uint64_t ours = thread.process.page_table.value_or(Pa{}).value;
    if (ours != 0 && is_root_of(root_register, ours)) return thread;
    return fail(Errc::kNotFound, "another address space", task.value);
  }
  Result<std::vector<SyscallEntry>> syscall_entries() override { return paths_.entries(); }
  Result<std::shared_ptr<const SyscallDispatch>> syscall_dispatch(bool compat) override {
    return paths_.dispatch(compat);
  }
  Result<DispatchedSyscall> dispatched(unsigned vcpu, const SyscallDispatch& dispatch) override {
    return paths_.dispatched(vcpu, dispatch);
  }
  Result<Va> per_cpu_base(unsigned vcpu) override {
    if (current_ == nullptr) return fail(Errc::kNotFound, "the running task is not known");
    return current_->per_cpu_base(vcpu);
  }
  Result<> track_results() override {
    if (is_arm()) return {};
    if (profile_.layout.word_bytes == 4) {
      results_32_.emplace(
          SWAT_TRY(ResultWords32::find(guest_, kernel_, SWAT_TRY(syscall_entries()))));
      return {};
    }
    if (is_aarch64()) {
      SWAT_CHECK(paths_.entries());
      return {};
    }
    Result<> outcome = fail(Errc::kNotFound, "no SYSCALL entry");
    for (const SyscallEntry& entry : SWAT_TRY(syscall_entries())) {
      if (entry.kind != SyscallEntry::Kind::kSyscall) continue;
      Result<ResultWords> results = ResultWords::find(kernel_, entry.address);
      if (results) {
        results_ = *std::move(results);
        return {};
      }
      outcome = tl::unexpected(results.error());
    }
    return outcome;
  }
  Result<ResultWord> result_word(unsigned vcpu) override {
    if (is_aarch64()) {
      return aarch64_result_word(guest_, vcpu, paths_.known_dispatches(), paths_.known_entries());
    }
    if (is_arm()) return arm_result_word(guest_, vcpu);
    if (results_32_) return results_32_->last(vcpu, kernel_);
    return results_ ? results_->last(vcpu) : OsModel::result_word(vcpu);
  }
  Result<bool> has_result_in_register(unsigned vcpu) override {
    if (!is_arm()) return results_.has_value();
    const Va pc{SWAT_TRY(guest_.reg(vcpu, "pc"))};
    return !SWAT_TRY(arm::restores_result(kernel_, pc));
  }
  Result<std::uint64_t> wall_clock_ns() override {
    return clock_ ? clock_->last_ns() : OsModel::wall_clock_ns();
  }
  // The first is the second's only caller, since 4.9. [arch/x86/include/asm/switch_to.h]
  std::vector<Va> context_switches() override {
    const auto code = symbols_.find_any({"__switch_to_asm", "__switch_to"});
    return code ? std::vector{*code} : std::vector<Va>{};
  }
  std::vector<Va> ends_of_page_table_writes() override {
    const auto start = symbols_.find_any({"_stext", "_text"});
    const auto end = symbols_.find("_etext");
    if (!start || !end) return {};
    return x86::ends_of_page_table_writes(kernel_, {*start, *end});
  }
  void forget() override { kernel_.forget(); }

 private:
  [[nodiscard]] bool is_aarch64() const { return guest_.architecture() == Architecture::kAarch64; }
  [[nodiscard]] bool is_arm() const { return guest_.architecture() == Architecture::kArm; }
  [[nodiscard]] AddressSpace user_space(Pa root) { return {guest_.ram(), user_geometry_, root}; }

  // Asked for only where a process lacks pages: a guest that has too few yet may have them later.
  bool knows_page_cache() {
    if (page_cache_ || page_cache_tries_ == kPageCacheTries) return page_cache_.has_value();
    ++page_cache_tries_;
    auto found = infer_page_cache(kernel_, profile_.layout, known_file_pages());
    if (found) page_cache_ = *found;
    return page_cache_.has_value();
  }
  std::vector<MappedFilePage> known_file_pages() {
    constexpr std::size_t kEnough = 256;
    std::vector<MappedFilePage> known;
    for (const Process& process : processes().value_or(std::vector<Process>{})) {
      if (!process.page_table || known.size() >= kEnough) continue;
      const auto mapped = mappings(process);
      if (!mapped) continue;
      AddressSpace user = user_space(*process.page_table);
      const auto found = mapped_file_pages(user, *mapped, profile_.layout);
      known.insert(known.end(), found.begin(), found.end());
    }
    return known;
  }

  static constexpr unsigned kPageCacheTries = 4;

  GuestView& guest_;
  const PageGeometry& user_geometry_;
  AddressSpace kernel_;
  std::string release_;
  symbols::SymbolTable symbols_;
  LinuxProfile profile_;
  Va init_task_;
  std::optional<GuestClock> clock_;
  std::optional<ResultWords> results_;       // x86_64
  std::optional<ResultWords32> results_32_;  // i386
  std::vector<std::string> provenance_;
  SyscallPaths paths_;
  TaskReader tasks_;
  std::unique_ptr<CurrentTask> current_;  // null: nothing tells
  std::optional<PageCacheLayout> page_cache_;
  unsigned page_cache_tries_ = 0;
};

}  // namespace

Result<AttachedLinux> attach_linux(GuestView& guest, const LinuxModelOptions& options) {
  Findings found = SWAT_TRY(investigate(guest, options));
  LinuxProfile profile = found.profile;
  return AttachedLinux{std::make_unique<LinuxModel>(guest, std::move(found)), std::move(profile)};
}

Result<KernelDescription> describe_linux(GuestView& guest, const LinuxModelOptions& options) {
  Findings found = SWAT_TRY(investigate(guest, options));
  KernelDescription kernel{std::move(found.banner),  std::move(found.symbols),    found.init_task,
                           std::move(found.profile), std::move(found.acceptance), std::nullopt};
  if (!options.use_btf) return kernel;
  auto btf = symbols::Btf::find(found.kernel.image());
  if (btf) kernel.btf = std::move(*btf);
  return kernel;
}

}  // namespace swat::os
