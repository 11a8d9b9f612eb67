#include "osmodels/linux/linux_model.hpp"

#include <cstdio>

#include "osmodels/linux/blob.hpp"
#include "osmodels/linux/current_task.hpp"
#include "osmodels/linux/guest_clock.hpp"
#include "osmodels/linux/inference.hpp"
#include "osmodels/linux/init_task.hpp"
#include "osmodels/linux/kernel_locator.hpp"
#include "osmodels/linux/mappings.hpp"
#include "osmodels/linux/process_list.hpp"
#include "osmodels/linux/result_words.hpp"
#include "osmodels/linux/saved_registers.hpp"
#include "osmodels/linux/syscall_dispatch.hpp"
#include "osmodels/linux/syscall_entries.hpp"
#include "osmodels/linux/task_reader.hpp"
#include "osmodels/x86/page_table_writes.hpp"
#include "symbols/btf.hpp"
#include "symbols/kallsyms.hpp"
#include "symbols/ksymtab.hpp"
#include "symbols/vmcoreinfo.hpp"

namespace swat::os {
namespace {

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 19> text;
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

// What attaching found, before there is a model of it.
struct Findings {
  LocatedKernel kernel;
  std::string banner;
  std::string release;
  symbols::SymbolTable symbols;
  std::optional<Va> own_page_table;  // of the kernel itself: its address, as a symbol table has it
  LinuxProfile profile;
  Va init_task;
  std::optional<GuestClock> clock;
  std::vector<std::string> provenance;
};

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
        geometry_(*found.kernel.geometry),
        kernel_(guest.ram(), geometry_, found.kernel.root),
        release_(std::move(found.release)),
        symbols_(std::move(found.symbols)),
        profile_(std::move(found.profile)),
        init_task_(found.init_task),
        clock_(found.clock),
        provenance_(std::move(found.provenance)),
        tasks_(guest.ram(), kernel_, profile_),
        current_(guest, kernel_, tasks_) {
    const Result<> slot = current_.find_slot(symbols_, found.kernel.image());
    provenance_.push_back("running task: " +
                          (slot ? "per-CPU offset " + hexadecimal(current_.slot()->offset) + ", " +
                                      current_.slot()->found_by
                                : slot.error().what));
  }

  std::string_view name() const override { return "linux"; }
  std::string version() const override { return release_; }
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
    return std::make_unique<AddressSpace>(guest_.ram(), geometry_, *process.page_table);
  }

  VirtualMemory& kernel_memory() override { return kernel_; }
  Result<Thread> current(unsigned vcpu) override {
    std::array<PhysicalMemory::Piece, 2> along;
    std::size_t pieces = 0;
    if (clock_) along[pieces++] = clock_->piece();
    if (results_) {
      const Va base = SWAT_TRY(current_.per_cpu_base(vcpu));
      along[pieces++] = SWAT_TRY(results_->piece(vcpu, kernel_, base));
    }
    return current_.read(vcpu, std::span(along).first(pieces));
  }
  std::span<const PhysicalMemory::Piece> guess_current(unsigned vcpu) override {
    if (!clock_) return current_.guess(vcpu, {});
    const PhysicalMemory::Piece time = clock_->piece();
    return current_.guess(vcpu, {&time, 1});
  }
  Result<Thread> judge_current() override { return tasks_.judge(); }
  Result<Thread> thread(Va task, std::uint64_t root_register) override {
    Thread thread = SWAT_TRY(tasks_.read(task));
    const std::uint64_t ours = thread.process.page_table.value_or(Pa{}).value;
    if (ours != 0 && is_root_of(root_register, ours)) return thread;
    return fail(Errc::kNotFound, "another address space", task.value);
  }
  Result<std::vector<SyscallEntry>> syscall_entries() override {
    return find_syscall_entries(guest_, kernel_, symbols_);
  }
  Result<std::shared_ptr<const SyscallDispatch>> syscall_dispatch(bool compat) override {
    auto& known = dispatches_[compat ? 1 : 0];
    if (known != nullptr) return known;
    entries_ = SWAT_TRY(syscall_entries());
    auto found = SWAT_TRY(find_syscall_dispatch(kernel_, symbols_, entries_, compat));
    return known = std::make_shared<const SyscallDispatch>(std::move(found));
  }
  Result<DispatchedSyscall> dispatched(unsigned vcpu, const SyscallDispatch& dispatch) override {
    return read_dispatched(guest_, vcpu, kernel_, dispatch, entries_);
  }
  Result<Va> per_cpu_base(unsigned vcpu) override { return current_.per_cpu_base(vcpu); }
  Result<> track_results() override {
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
    return results_ ? results_->last(vcpu) : OsModel::result_word(vcpu);
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
  GuestView& guest_;
  const PageGeometry& geometry_;
  AddressSpace kernel_;
  std::string release_;
  symbols::SymbolTable symbols_;
  LinuxProfile profile_;
  Va init_task_;
  std::optional<GuestClock> clock_;
  std::optional<ResultWords> results_;
  std::vector<std::string> provenance_;
  TaskReader tasks_;
  CurrentTask current_;
  std::vector<SyscallEntry> entries_;  // once a dispatch has been asked for
  std::array<std::shared_ptr<const SyscallDispatch>, 2> dispatches_;  // native, compat
};

// "Linux version 6.1.0-56-amd64 (...": the third word.
std::string release_of(const std::string& banner) {
  constexpr std::string_view kPrefix = "Linux version ";
  return banner.substr(kPrefix.size(), banner.find(' ', kPrefix.size()) - kPrefix.size());
}

void find_symbols(const LinuxModelOptions& options, Findings& found) {
  if (!options.use_symbols) return;
  Result<symbols::SymbolTable> symbols = symbols::find_kallsyms(found.kernel.image());
  if (!symbols) {
    found.provenance.push_back("symbols: none, " + symbols.error().what);
    return;
  }
  found.symbols = std::move(*symbols);
  found.provenance.push_back("symbols: kallsyms, " + std::to_string(found.symbols.all().size()) +
                             " names");
  found.own_page_table =
      found.symbols.find_any({"init_top_pgt", "init_level4_pgt", "swapper_pg_dir"});
}

void find_release(Findings& found) {
  found.release = release_of(found.banner);
  const auto info = symbols::Vmcoreinfo::find(found.kernel.image());
  if (!info) return;
  found.release = info->os_release();
  if (!found.own_page_table) found.own_page_table = info->symbol("swapper_pg_dir");
}

// The table that attaching began with is some process's, or one that is mapped only for a moment;
// the kernel's own is there for good. Where no symbol tells, init's is: init never exits.
void settle_root(PhysicalMemory& ram, Va init_page_table, Findings& found) {
  AddressSpace before(ram, *found.kernel.geometry, found.kernel.root);
  const Result<Translation> entry = before.translate(found.kernel.entry);
  for (const Va table : {found.own_page_table.value_or(Va{}), init_page_table}) {
    const Result<Translation> root = before.translate(table);
    if (!root || !entry) continue;
    AddressSpace after(ram, *found.kernel.geometry, root->at);
    const Result<Translation> same = after.translate(found.kernel.entry);
    const Result<Translation> data = after.translate(found.init_task);
    if (!same || !data || same->at != entry->at) continue;
    found.kernel.root = root->at;
    found.provenance.push_back(
        "kernel page table: " + hexadecimal(root->at.value) +
        (table == init_page_table ? ", that of init" : ", the kernel's own"));
    return;
  }
  found.provenance.push_back("kernel page table: " + hexadecimal(found.kernel.root.value) +
                             ", that of a CPU");
}

// kallsyms has data only with CONFIG_KALLSYMS_ALL; what modules may use is listed apart.
std::optional<Va> find_init_task_symbol(const LinuxModelOptions& options, const Findings& found) {
  if (const std::optional<Va> symbol = found.symbols.find("init_task")) return symbol;
  if (!options.use_symbols) return {};
  const auto exports = symbols::find_ksymtab(found.kernel.image());
  return exports ? exports->find("init_task") : std::nullopt;
}

void find_clock(GuestView& guest, AddressSpace& kernel, const symbols::Btf& btf, Findings& found) {
  auto clock = GuestClock::find(found.symbols, btf, guest.ram(), [&](Va at) -> Result<Pa> {
    return SWAT_TRY(kernel.translate(at)).at;
  });
  found.provenance.push_back("wall clock: " +
                             (clock ? "the kernel's timekeeper" : clock.error().what));
  if (clock) found.clock = *clock;
}

Result<> find_profile(GuestView& guest, const LinuxModelOptions& options, Findings& found) {
  AddressSpace kernel(guest.ram(), *found.kernel.geometry, found.kernel.root);
  std::optional<Va> init_task = find_init_task_symbol(options, found);
  if (options.use_btf) {
    const Result<symbols::Btf> btf = symbols::Btf::find(found.kernel.image());
    Result<LinuxProfile> profile = btf ? profile_from_btf(*btf) : tl::unexpected(btf.error());
    if (profile) {
      if (!init_task || !is_init_task(kernel, *profile, *init_task)) {
        init_task = find_init_task(kernel, *profile, found.kernel.image());
      }
      if (!init_task) return fail(Errc::kNotFound, "no init_task in the image");
      found.profile = std::move(*profile);
      found.init_task = *init_task;
      find_clock(guest, kernel, *btf, found);
      return {};
    }
    found.provenance.push_back("BTF: " + profile.error().what);
  }
  InferredProfile inferred =
      SWAT_TRY(infer_profile({guest.ram(), kernel, *found.kernel.geometry, found.kernel.image(),
                              found.kernel.entry, init_task}));
  found.profile = std::move(inferred.profile);
  found.init_task = inferred.init_task;
  return {};
}

// The page table of pid 1, if there is one yet.
Va init_page_table(GuestView& guest, const Findings& found) {
  AddressSpace kernel(guest.ram(), *found.kernel.geometry, found.kernel.root);
  const LinuxProfile& profile = found.profile;
  const auto first = read_as<std::uint64_t>(kernel, found.init_task + *profile.task_tasks);
  if (!first) return {};
  const Va init = Va{*first} - *profile.task_tasks;
  const auto mm = read_as<std::uint64_t>(kernel, init + *profile.task_mm);
  if (!mm || !is_kernel_pointer(*mm)) return {};
  return Va{read_as<std::uint64_t>(kernel, Va{*mm} + *profile.mm_pgd).value_or(0)};
}

}  // namespace

Result<AttachedLinux> attach_linux(GuestView& guest, const LinuxModelOptions& options) {
  Findings found;
  found.kernel = SWAT_TRY(locate_kernel(guest));
  found.banner = SWAT_TRY(symbols::find_linux_banner(found.kernel.image()));
  found.provenance.push_back(found.banner);
  found.provenance.push_back("kernel image: " + hexadecimal(found.kernel.base.value) + ", " +
                             std::to_string(found.kernel.bytes.size() >> 10) + " KiB");
  find_symbols(options, found);
  find_release(found);
  SWAT_CHECK(find_profile(guest, options, found));
  found.provenance.push_back("structure offsets: " + found.profile.source);
  settle_root(guest.ram(), init_page_table(guest, found), found);
  LinuxProfile profile = found.profile;
  return AttachedLinux{std::make_unique<LinuxModel>(guest, std::move(found)), std::move(profile)};
}

}  // namespace swat::os
