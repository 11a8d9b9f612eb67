#include "osmodels/windows/windows_model.hpp"

#include <map>
#include <set>

#include "osmodels/linux/kernel_locator.hpp"
#include "osmodels/page_table.hpp"
#include "osmodels/windows/absent_pages.hpp"
#include "osmodels/windows/chosen_offsets.hpp"
#include "osmodels/windows/given_offsets.hpp"
#include "osmodels/windows/handle_names.hpp"
#include "osmodels/windows/kernel_locator.hpp"
#include "osmodels/windows/loader_list.hpp"
#include "osmodels/windows/process_images.hpp"
#include "osmodels/windows/processes.hpp"
#include "osmodels/windows/service_names.hpp"
#include "osmodels/windows/syscall_arguments.hpp"
#include "osmodels/windows/syscall_entries.hpp"

namespace swat::os {
namespace {

using windows::GivenOffsets;
using windows::KernelSpace;
using windows::LocatedKernel;
using windows::ProcessEntry;
using Kind = SyscallEntry::Kind;

// What is known once the guest has been looked through.
struct Findings {
  LocatedKernel kernel;
  Pa root;  // of the System process
  Va system;
  windows::WindowsOffsets offsets;
  std::uint32_t build = 0;
  std::string version;  // "10.0.19045"
  std::vector<std::string> provenance;
};

// By KUSER_SHARED_DATA.
Result<std::string> read_version(VirtualMemory& memory, unsigned word_bytes, std::uint32_t build) {
  constexpr std::uint64_t kMajorAt = 0x26c;
  constexpr std::uint64_t kMinorAt = 0x270;
  const Va shared = windows::shared_user_data(word_bytes);
  const auto major = SWAT_TRY(read_as<std::uint32_t>(memory, shared + kMajorAt));
  const auto minor = SWAT_TRY(read_as<std::uint32_t>(memory, shared + kMinorAt));
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(build);
}

// The System process calls itself so, and its ring comes round.
Result<> accept(const KernelSpace& space, Va system) {
  const auto ring = SWAT_TRY(windows::read_ring(space, system));
  const Process& first = ring.front().process;
  if (first.name != "System" || first.pid == 0) {
    return fail(Errc::kBadImage, "the first process is not System", system.value);
  }
  return {};
}

// Where nothing has shown that it is this kernel's, that is said.
GivenOffsets given_offsets(const symbols::MemberProfile* given, bool is_compared) {
  if (given == nullptr) return {};
  const std::string of = windows::describe(given->id) + (is_compared ? "" : ", if it is this one");
  return {windows::offsets_of(*given), given->path + " (" + of + ")"};
}

Result<> choose_offsets(VirtualMemory& memory, Findings& found, const GivenOffsets& given) {
  const unsigned word_bytes = found.kernel.word_bytes();
  const auto told = windows::offsets_by_accessors(
      memory, [&](std::string_view name) { return found.kernel.find(name); }, word_bytes);
  Result<> outcome =
      fail(Errc::kUnsupported, "neither accessors nor a row tell this build's offsets");
  for (const auto& candidate :
       windows::offset_candidates(told, windows::rows_near(found.build, word_bytes), given)) {
    const KernelSpace space{memory, *found.kernel.geometry, candidate.offsets, word_bytes,
                            found.kernel.image.extent()};
    outcome = accept(space, found.system);
    if (!outcome) continue;
    found.offsets = candidate.offsets;
    found.provenance.push_back("offsets: " + candidate.found_by);
    return {};
  }
  return fail(Errc::kUnsupported, "structures of Windows " + found.version +
                                      (given.by.empty() ? "" : ", as " + given.by + " has them") +
                                      ": " + outcome.error().what);
}

Result<Findings> investigate(GuestView& guest, const symbols::MemberProfile* given) {
  Findings found{SWAT_TRY(windows::locate_kernel(guest)), {}, {}, {}, 0, {}, {}};
  const LocatedKernel& kernel = found.kernel;
  AddressSpace memory(guest.ram(), *kernel.geometry, kernel.root);
  const auto system_pointer = kernel.find("PsInitialSystemProcess");
  const auto build_at = kernel.find("NtBuildNumber");
  if (!system_pointer || !build_at) {
    return fail(Errc::kUnsupported, "a kernel that exports no PsInitialSystemProcess");
  }
  found.build = SWAT_TRY(read_as<std::uint32_t>(memory, *build_at)) & 0xffff;
  found.version = SWAT_TRY(read_version(memory, kernel.word_bytes(), found.build));
  found.provenance.push_back("kernel image: " + std::to_string(kernel.exports.size()) +
                             " exports, found from " + kernel.found_by);
  const auto debug = kernel.image.debug_id(memory);
  found.provenance.push_back("debug information: " +
                             (debug ? windows::describe(*debug) : debug.error().what));
  if (given != nullptr) SWAT_CHECK(windows::check_given(*given, kernel.image, debug));
  found.system = Va{SWAT_TRY(windows::read_pointer(memory, *system_pointer, kernel.word_bytes()))};
  const Va root_at = found.system + windows::page_table_at(kernel.word_bytes());
  found.root = windows::root_of(
      *kernel.geometry, SWAT_TRY(windows::read_pointer(memory, root_at, kernel.word_bytes())));
  AddressSpace whole(guest.ram(), *kernel.geometry, found.root);
  SWAT_CHECK(choose_offsets(whole, found, given_offsets(given, debug.has_value())));
  return found;
}

class WindowsModel final : public OsModel {
 public:
  WindowsModel(GuestView& guest, Findings found)
      : guest_(guest),
        found_(std::move(found)),
        memory_(guest.ram(), *found_.kernel.geometry, found_.root, windows::page_in_transition),
        space_{memory_, *found_.kernel.geometry, found_.offsets, found_.kernel.word_bytes(),
               found_.kernel.image.extent()},
        images_(space_, windows::find_vad_shape(found_.build, space_.word_bytes)),
        names_(windows::syscall_build_near(found_.build, space_.word_bytes)),
        handles_({space_, found_.build, found_.system,
                  [this](std::string_view name) { return found_.kernel.find(name); },
                  [this](Va device) { return images_.drive_of(device); }}),
        arguments_([this](const Process& process) { return memory(process); },
                   [this](const Process& process, std::uint64_t handle) {
                     return handles_.describe(process.object, handle);
                   }) {}

  std::string_view name() const override { return "windows"; }
  std::string version() const override { return found_.version; }
  unsigned word_bytes() const override { return space_.word_bytes; }
  std::vector<std::string> provenance() const override { return found_.provenance; }

  Result<std::vector<Process>> processes() override {
    std::vector<Process> processes;
    for (ProcessEntry& entry : SWAT_TRY(windows::read_ring(space_, found_.system))) {
      processes.push_back(std::move(entry.process));
    }
    return processes;
  }

  Result<std::vector<Mapping>> mappings(const Process& process) override {
    const ProcessEntry entry = SWAT_TRY(windows::read_process(space_, process.object));
    const auto memory = this->memory(process);
    const auto loaded = images_of(entry, *memory);
    std::vector<Mapping> mappings =
        images_.of(process.object, loaded.value_or(std::vector<windows::LoadedImage>{}));
    if (mappings.empty() && !loaded) return tl::unexpected(loaded.error());
    for (const Mapping& mapping : mappings) learn_names(*memory, mapping);
    return mappings;
  }

  std::unique_ptr<VirtualMemory> memory(const Process& process) override {
    return std::make_unique<AddressSpace>(guest_.ram(), space_.geometry,
                                          process.page_table.value_or(found_.root),
                                          windows::page_in_transition);
  }
  VirtualMemory& kernel_memory() override { return memory_; }

  Result<Thread> current(unsigned vcpu) override {
    return windows::read_current(space_, SWAT_TRY(per_cpu_base(vcpu)));
  }
  Result<Va> per_cpu_base(unsigned vcpu) override {
    if (const auto known = kpcrs_.find(vcpu); known != kpcrs_.end()) return known->second;
    const Va kpcr = SWAT_TRY(windows::find_kpcr(guest_, vcpu, memory_, word_bytes()));
    return kpcrs_.emplace(vcpu, kpcr).first->second;
  }

  // Also learns what system calls are called, as it is about to be asked.
  Result<std::vector<SyscallEntry>> syscall_entries() override {
    learn_names();
    return windows::find_syscall_entries(guest_, memory_, found_.kernel.image.layout(),
                                         word_bytes());
  }
  std::string_view syscall_name(const SyscallAbi&, std::uint64_t number) override {
    return names_.name(number);
  }
  SyscallDecoder* syscalls() override { return &arguments_; }
  // The loader's list tells, whenever it is asked.
  bool sees_touched_pages_only() const override { return true; }
  void forget() override { memory_.forget(); }

 private:
  // The program of a 32-bit process is in both of its loaders' lists.
  Result<std::vector<windows::LoadedImage>> images_of(const ProcessEntry& entry,
                                                      VirtualMemory& memory) {
    auto images = SWAT_TRY(windows::read_loader_list(memory, entry.peb, word_bytes()));
    if (entry.wow64.is_null()) return images;
    const Va peb = SWAT_TRY(windows::find_peb32(memory_, entry.wow64));
    const auto narrow = SWAT_TRY(windows::read_loader_list(memory, peb, 4));
    images.insert(images.end(), narrow.begin(), narrow.end());
    return images;
  }

  // From every process, until each DLL has been read as a whole.
  void learn_names() {
    const auto ring = windows::read_ring(space_, found_.system);
    if (!ring) return;
    for (const ProcessEntry& entry : *ring) {
      if (!mappings(entry.process)) continue;  // another one has the same DLLs
    }
  }
  void learn_names(VirtualMemory& memory, const Mapping& image) {
    const Module module{image.range, image.range.start, image.path, image.file_id};
    if (!windows::ServiceNames::are_in(module.path) || learned_.contains(image.path)) return;
    if (names_.learn(memory, module.base, word_bytes())) learned_.insert(image.path);
  }

  GuestView& guest_;
  Findings found_;
  AddressSpace memory_;  // the System process's
  KernelSpace space_;
  windows::ProcessImages images_;
  std::map<unsigned, Va> kpcrs_;  // by vCPU; they stay where they are
  windows::ServiceNames names_;
  windows::HandleNames handles_;
  windows::SyscallArguments arguments_;
  std::set<std::string> learned_;  // paths of DLLs that have been read as a whole
};

}  // namespace

Result<std::unique_ptr<OsModel>> attach_windows(GuestView& guest,
                                                const symbols::MemberProfile* given) {
  auto found = investigate(guest, given);
  if (!found && found.error().code == Errc::kFault) {
    return fail(Errc::kUnsupported,
                "an NT kernel, part of which is paged out now: " + found.error().what);
  }
  SWAT_CHECK(found);
  return std::make_unique<WindowsModel>(guest, *std::move(found));
}

}  // namespace swat::os
