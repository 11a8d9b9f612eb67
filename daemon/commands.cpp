#include "daemon/commands.hpp"

#include <fmt/format.h>

#include <fstream>

#include "daemon/image_cache.hpp"
#include "daemon/isf.hpp"
#include "daemon/module_traps.hpp"
#include "daemon/printable.hpp"
#include "osmodels/windows/syscall_tables.hpp"

namespace swat::daemon {
namespace {

// Of a process; 0: the model does not tell.
std::string number(std::uint32_t pid) { return pid == 0 ? "?" : std::to_string(pid); }

void print_mapping(const os::Process& process, const os::Mapping& mapping) {
  fmt::print("{} {:x}-{:x} {:x} {}{}{}{} {}\n", number(process.pid), mapping.range.start.value,
             mapping.range.end.value, mapping.file_offset, mapping.readable ? 'r' : '-',
             mapping.writable ? 'w' : '-', mapping.executable ? 'x' : '-',
             mapping.shared ? 's' : 'p', printable(mapping.path));
}

void print_exports(const os::Process& process, const os::Module& module, const Image& image,
                   const FunctionPattern& pattern) {
  for (const ImageExport& e : image.exports) {
    if (!pattern.matches_function(e.name)) continue;
    fmt::print("{} {:x} {}!{}{}{}\n", number(process.pid), (module.base + e.offset).value,
               printable(module.name()), printable(e.name), e.version.empty() ? "" : "@",
               printable(e.version));
  }
}

// Where a process itself keeps what it has mapped, that may be paged out: the others have theirs.
Result<std::vector<os::Mapping>> mappings_of(os::OsModel& model, const os::Process& process) {
  auto mappings = model.mappings(process);
  if (mappings || mappings.error().code != Errc::kFault) return mappings;
  fmt::print(stderr, "swatd: {} {}: {}\n", process.pid, process.name, mappings.error().what);
  return std::vector<os::Mapping>{};
}

// Calls `print` for the processes asked for that have user memory.
template <class Print>
Result<> for_processes(os::OsModel& model, std::optional<std::uint32_t> pid, Print print) {
  bool found = false;
  for (const os::Process& process : SWAT_TRY(model.processes())) {
    if (pid && process.pid != *pid) continue;
    found = true;
    if (process.memory_object.is_null()) continue;
    SWAT_CHECK(print(process));
  }
  if (pid && !found) return fail(Errc::kUsage, fmt::format("there is no process {}", *pid));
  return {};
}

}  // namespace

Result<> print_processes(os::OsModel& model) {
  fmt::print("{:>7} {:>7} {}\n", "PID", "PPID", "NAME");
  for (const os::Process& process : SWAT_TRY(model.processes())) {
    const std::string parent = process.pid == 0 ? "?" : std::to_string(process.parent_pid);
    fmt::print("{:>7} {:>7} {}\n", number(process.pid), parent, printable(process.name));
  }
  return {};
}

Result<> print_modules(os::OsModel& model, std::optional<std::uint32_t> pid) {
  return for_processes(model, pid, [&](const os::Process& process) -> Result<> {
    for (const os::Mapping& mapping : SWAT_TRY(mappings_of(model, process))) {
      if (!mapping.path.empty()) print_mapping(process, mapping);
    }
    return {};
  });
}

Result<> print_functions(os::OsModel& model, std::optional<std::uint32_t> pid,
                         const std::string& glob, std::shared_ptr<const RootFolder> files) {
  const FunctionPattern pattern = SWAT_TRY(FunctionPattern::parse(glob));
  ImageCache images(std::move(files));
  return for_processes(model, pid, [&](const os::Process& process) -> Result<> {
    const auto memory = model.memory_and_files(process);
    for (const os::Module& module : os::modules_of(SWAT_TRY(mappings_of(model, process)))) {
      if (!pattern.matches_module(module.name())) continue;
      const auto image = images.get(*memory, module);
      if (image) {
        print_exports(process, module, **image, pattern);
      } else {
        fmt::print(stderr, "swatd: {} {}: {}\n", process.pid, module.path, image.error().what);
      }
    }
    return {};
  });
}

Result<> print_syscalls(const std::string& build) {
  using os::windows::SyscallTable;
  if (build.empty()) {
    for (const auto& known : os::windows::syscall_builds()) fmt::print("{}\n", known.name);
    return {};
  }
  const os::windows::SyscallBuild* found = os::windows::find_syscall_build(build);
  if (found == nullptr) return fail(Errc::kUsage, "no table of " + build + ": see swatd syscalls");
  for (const SyscallTable table : {SyscallTable::kNt, SyscallTable::kWin32k}) {
    auto next = static_cast<unsigned>(table);
    for (const std::string_view name : os::windows::syscall_names(*found, table)) {
      if (!name.empty()) fmt::print("{:x} {}\n", next, name);
      ++next;
    }
  }
  return {};
}

Result<> print_profile(os::GuestView& guest, const std::string& isf, bool use_btf) {
  const os::KernelDescription kernel = SWAT_TRY(os::describe_linux(guest, {.use_btf = use_btf}));
  fmt::print("# {}\n# offsets in bytes, from {}; {}\n", printable(kernel.banner),
             kernel.profile.source, kernel.acceptance);
  for (const os::ProfileField& field : os::profile_fields()) {
    const os::MemberOffset& offset = kernel.profile.*field.member;
    if (offset) fmt::print("{}.{} {}\n", field.structure, field.path, *offset);
  }
  if (isf.empty()) return {};
  const std::string text = SWAT_TRY(to_isf(kernel));
  std::ofstream file(isf, std::ios::binary);
  file << text;
  file.flush();
  if (!file) return fail(Errc::kUsage, "cannot write " + isf);
  return {};
}

}  // namespace swat::daemon
