#include "osmodels/model.hpp"

#include "osmodels/linux/linux_model.hpp"
#include "osmodels/linux/structure_free_model.hpp"
#include "osmodels/syscall_abi.hpp"
#include "osmodels/windows/windows_model.hpp"

namespace swat::os {
namespace {

Result<std::unique_ptr<OsModel>> attach_linux_model(GuestView& guest, const AttachWishes& wishes) {
  if (wishes.members != nullptr) {
    return fail(Errc::kNotFound, "not with --profile, which is for Windows guests");
  }
  if (!wishes.without_structures.empty()) {
    return attach_structure_free_linux(guest, {wishes.without_structures, wishes.ram_is_near});
  }
  LinuxModelOptions options;
  options.store = wishes.store;
  return SWAT_TRY(attach_linux(guest, options)).model;
}

Result<std::unique_ptr<OsModel>> attach_windows_model(GuestView& guest,
                                                      const AttachWishes& wishes) {
  auto model = attach_windows(guest, wishes.members);
  const bool is_other = !model && model.error().code == Errc::kNotFound;
  if (wishes.without_structures.empty() || is_other) return model;
  return fail(Errc::kUnsupported,
              "it is not followed without its kernel's structures: " + wishes.without_structures);
}

bool is_of_file(const Mapping& mapping) {
  return mapping.path == "[vdso]" || mapping.file_id != 0 || mapping.path.starts_with('/');
}

// A module in the making, and what decides whether the next mapping is still part of it.
struct Candidate {
  Module module;
  bool executable = false;
  bool writable = false;
  bool beyond_start = false;  // has a mapping of a file offset other than 0

  [[nodiscard]] bool is_same_file(const Mapping& mapping) const {
    return module.file_id == mapping.file_id && module.path == mapping.path;
  }

  // A second mapping of offset 0 may be the data segment of a file smaller than a page, or, behind
  // code at offset 0, what RELRO made of its start. Otherwise it begins another copy of the image,
  // and for certain when more of the file than data follows it. What RELRO has made is executable
  // only where all that is readable is, the data behind it as well: before ARMv6, and of programs
  // that say nothing of their stack. [personality(2), READ_IMPLIES_EXEC] `next` may be null.
  [[nodiscard]] bool takes(const Mapping& mapping, const Mapping* next) const {
    if (!is_same_file(mapping)) return false;
    if (mapping.file_offset != 0 || mapping.writable) return true;
    const bool more_follows = next != nullptr && is_same_file(*next) && next->file_offset != 0;
    if (more_follows && !next->writable) return false;
    const bool is_of_data = !mapping.executable || (more_follows && next->executable);
    return executable && is_of_data && !writable && !beyond_start;
  }

  void add(const Mapping& mapping) {
    module.range.end = mapping.range.end;
    executable = executable || mapping.executable;
    writable = writable || mapping.writable;
    beyond_start = beyond_start || mapping.file_offset != 0;
  }
};

}  // namespace

std::vector<Module> modules_of(const std::vector<Mapping>& mappings) {
  std::vector<Module> modules;
  std::optional<Candidate> open;
  const auto close = [&] {
    if (open && open->executable) modules.push_back(std::move(open->module));
    open.reset();
  };
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const Mapping& mapping = mappings[i];
    const Mapping* next = i + 1 < mappings.size() ? &mappings[i + 1] : nullptr;
    if (!is_of_file(mapping)) continue;  // .bss between or behind the parts of an image
    if (!open || !open->takes(mapping, next)) {
      close();
      if (mapping.file_offset != 0) continue;  // of an image whose start is not mapped
      open.emplace();
      open->module = {mapping.range, mapping.range.start, mapping.path, mapping.file_id};
    }
    open->add(mapping);
  }
  close();
  return modules;
}

std::string_view OsModel::syscall_name(const SyscallAbi& abi, std::uint64_t number) {
  return os::syscall_name(abi, number);
}

const std::vector<OsProbe>& os_probes() {
  // Windows is told from anything else by a few reads.
  static const std::vector<OsProbe> probes = {{"windows", attach_windows_model},
                                              {"linux", attach_linux_model}};
  return probes;
}

}  // namespace swat::os
