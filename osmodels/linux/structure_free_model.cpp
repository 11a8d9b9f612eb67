#include "osmodels/linux/structure_free_model.hpp"

#include "osmodels/linux/gs_base.hpp"
#include "osmodels/linux/investigation.hpp"
#include "osmodels/linux/kernel_tables.hpp"
#include "osmodels/linux/syscall_paths.hpp"
#include "osmodels/linux/user_spaces.hpp"

namespace swat::os {
namespace {

// DT_SONAME is all that a library knows of its own name. [gABI, "Dynamic Section"]
std::string path_of(const MappedImage& image, const UserSpace& space) {
  constexpr std::string_view kUnknown = "?";
  if (image.is_vdso()) return "[vdso]";
  if (!image.loaded_as.empty()) return image.loaded_as;
  if (!image.is_program) return image.soname.empty() ? std::string(kUnknown) : image.soname;
  return space.program.empty() ? std::string(kUnknown) : space.program;
}

void add_mappings(const MappedImage& image, const UserSpace& space,
                  std::vector<Mapping>& mappings) {
  const std::string path = path_of(image, space);
  for (const auto& load : image.loads) {
    Mapping mapping{load.pages(), load.file_offset_of_pages(), path};
    mapping.readable = load.readable;
    mapping.writable = load.writable;
    mapping.executable = load.executable;
    if (path != "[vdso]") mapping.file_id = image.identity;
    mappings.push_back(std::move(mapping));
  }
}

class StructureFreeModel final : public OsModel {
 public:
  StructureFreeModel(GuestView& guest, Findings found)
      : guest_(guest),
        layout_(found.kernel.layout),
        kernel_(guest.ram(), *found.kernel.geometry, found.kernel.root),
        release_(std::move(found.release)),
        symbols_(std::move(found.symbols)),
        provenance_(std::move(found.provenance)),
        paths_(guest, kernel_, symbols_, layout_, found.kernel.entry),
        spaces_(guest, found.kernel) {}

  // Of all these roots, those that map user pages are processes.
  Result<> meet(const std::vector<Pa>& roots) { return spaces_.meet(roots); }

  std::string_view name() const override { return "linux"; }
  std::string version() const override { return release_; }
  unsigned word_bytes() const override { return layout_.word_bytes; }
  std::vector<std::string> provenance() const override { return provenance_; }

  bool tells_threads() const override { return false; }
  bool sees_touched_pages_only() const override { return true; }
  bool follows_calls() const override { return true; }
  void entered(unsigned vcpu, const Process& process, std::string_view name,
               std::span<const std::optional<std::uint64_t>> arguments) override {
    spaces_.enter(process, vcpu, name, arguments);
  }

  Result<std::vector<Process>> processes() override {
    for (unsigned vcpu = 0; vcpu < guest_.vcpu_count(); ++vcpu) {
      const auto met = spaces_.of(vcpu);
      if (!met && met.error().code == Errc::kDisconnected) return tl::unexpected(met.error());
    }
    std::vector<Process> processes;
    for (const UserSpace* space : spaces_.alive()) processes.push_back(space->process);
    return processes;
  }
  Result<std::vector<Mapping>> mappings(const Process& process) override {
    const UserSpace& space = *SWAT_TRY(spaces_.look(process));
    std::vector<Mapping> mappings;
    for (const ImageRef& image : space.images.all()) add_mappings(*image, space, mappings);
    return mappings;
  }
  std::unique_ptr<VirtualMemory> memory(const Process& process) override {
    return spaces_.memory(process.page_table.value_or(Pa{}));
  }
  VirtualMemory& kernel_memory() override { return kernel_; }

  Result<Thread> current(unsigned vcpu) override {
    const UserSpace& space = *SWAT_TRY(spaces_.of(vcpu));
    return Thread{space.process.object, 0, space.process};
  }
  Result<std::vector<SyscallEntry>> syscall_entries() override { return paths_.entries(); }
  Result<std::shared_ptr<const SyscallDispatch>> syscall_dispatch(bool compat) override {
    return paths_.dispatch(compat);
  }
  Result<DispatchedSyscall> dispatched(unsigned vcpu, const SyscallDispatch& dispatch) override {
    return paths_.dispatched(vcpu, dispatch);
  }
  Result<Va> per_cpu_base(unsigned vcpu) override {
    const std::vector<Va> bases = gs_bases(guest_, layout_, vcpu);
    if (!bases.empty()) return bases.front();
    return fail(Errc::kNotFound, "gs does not lead to a per-CPU area");
  }
  void forget() override { kernel_.forget(); }

 private:
  GuestView& guest_;
  KernelLayout layout_;
  AddressSpace kernel_;
  std::string release_;
  symbols::SymbolTable symbols_;
  std::vector<std::string> provenance_;
  SyscallPaths paths_;
  UserSpaces spaces_;
};

// Symbols tell as well as the image where the kernel's own page table is.
void settle_root(PhysicalMemory& ram, Findings& found) {
  std::optional<Pa> root = KernelTables(ram, found.kernel).own();
  if (!root && found.own_page_table) {
    AddressSpace space(ram, *found.kernel.geometry, found.kernel.root);
    if (const auto at = space.translate(*found.own_page_table)) root = at->at;
  }
  if (root) found.kernel.root = *root;
  found.provenance.push_back(std::string("kernel page table: ") +
                             (root ? "the kernel's own" : "that of a CPU"));
}

}  // namespace

Result<std::unique_ptr<OsModel>> attach_structure_free_linux(GuestView& guest,
                                                             const StructureFreeOptions& options) {
  Findings found = SWAT_TRY(investigate_kernel(guest, {}));
  settle_root(guest.ram(), found);
  std::vector<Pa> roots;
  if (options.reads_all_ram) roots = SWAT_TRY(KernelTables(guest.ram(), found.kernel).all());
  found.provenance.push_back("structures: not used, " + options.why);
  found.provenance.push_back(
      "processes: page tables, stacks and ELF headers in their pages; not known are numbers, "
      "parents, threads and the guest's clock");
  auto model = std::make_unique<StructureFreeModel>(guest, std::move(found));
  SWAT_CHECK(model->meet(roots));
  return model;
}

}  // namespace swat::os
