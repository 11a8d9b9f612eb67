#include "osmodels/linux/mappings.hpp"

#include <unordered_map>
#include <unordered_set>

#include "osmodels/linux/blob.hpp"
#include "osmodels/linux/file_path.hpp"
#include "osmodels/linux/maple_tree.hpp"

namespace swat::os {
namespace {

// Twice the default of vm.max_map_count; what a guest has beyond that is not believed.
constexpr std::size_t kMostVmas = 1 << 17;
constexpr std::size_t kLongestSpecialName = 64;

Result<std::vector<Va>> vma_list(VirtualMemory& kernel, const LinuxProfile& profile, Va mm) {
  if (!profile.vma_next) return fail(Errc::kUnsupported, "vm_next is not known");
  std::vector<Va> vmas;
  std::unordered_set<Va> seen;
  Va at{SWAT_TRY(read_word(kernel, mm + *profile.mm_mmap, profile.layout))};
  while (!at.is_null()) {
    if (vmas.size() >= kMostVmas || !seen.insert(at).second) {
      return fail(Errc::kBadImage, "list of VMAs without an end", mm.value);
    }
    vmas.push_back(at);
    at = Va{SWAT_TRY(read_word(kernel, at + *profile.vma_next, profile.layout))};
  }
  return vmas;
}

Result<std::vector<Va>> vma_tree(VirtualMemory& kernel, const LinuxProfile& profile, Va mm) {
  const std::uint64_t root =
      SWAT_TRY(read_word(kernel, mm + *profile.mm_tree_root, profile.layout));
  std::vector<Va> vmas;
  for (const MapleEntry& entry :
       SWAT_TRY(read_maple_tree(kernel, root, kMostVmas, profile.layout))) {
    vmas.push_back(entry.entry);
  }
  return vmas;
}

// What an address space knows of its own ranges; 0 where the profile cannot tell.
struct Landmarks {
  std::uint64_t start_brk = 0;
  std::uint64_t brk = 0;
  std::uint64_t start_stack = 0;
  std::uint64_t vdso = 0;
};

class MappingReader {
 public:
  MappingReader(VirtualMemory& kernel, const LinuxProfile& profile)
      : kernel_(kernel), profile_(profile) {
    for (const MemberOffset& member :
         {profile.vma_start, profile.vma_end, profile.vma_flags, profile.vma_pgoff,
          profile.vma_file, profile.vma_private_data}) {
      vma_bytes_ =
          std::max<std::size_t>(vma_bytes_, member.value_or(0) + profile.layout.word_bytes);
    }
  }

  Result<std::vector<Mapping>> read(Va mm) {
    const Landmarks landmarks{word(mm, profile_.mm_start_brk), word(mm, profile_.mm_brk),
                              word(mm, profile_.mm_start_stack), word(mm, profile_.mm_vdso)};
    std::vector<Mapping> mappings;
    for (const Va vma : SWAT_TRY(profile_.mm_tree_root ? vma_tree(kernel_, profile_, mm)
                                                       : vma_list(kernel_, profile_, mm))) {
      Mapping mapping = SWAT_TRY(one(vma, landmarks));
      if (mapping.range.start >= mapping.range.end ||
          (!mappings.empty() && mapping.range.start < mappings.back().range.end)) {
        return fail(Errc::kBadImage, "VMAs overlap", vma.value);
      }
      mappings.push_back(std::move(mapping));
    }
    return mappings;
  }

 private:
  std::uint64_t word(Va object, MemberOffset member) {
    if (!member) return 0;
    return read_word(kernel_, object + *member, profile_.layout).value_or(0);
  }

  // [include/linux/mm.h: VM_READ, VM_WRITE, VM_EXEC, VM_MAYSHARE, as fs/proc/task_mmu.c uses them]
  Result<Mapping> one(Va at, const Landmarks& landmarks) {
    const Blob vma{at, SWAT_TRY(read_bytes(kernel_, at, vma_bytes_)), profile_.layout.word_bytes};
    const std::uint64_t flags = vma.word(*profile_.vma_flags);
    Mapping mapping;
    mapping.range = {Va{vma.word(*profile_.vma_start)}, Va{vma.word(*profile_.vma_end)}};
    mapping.readable = (flags & 1) != 0;
    mapping.writable = (flags & 2) != 0;
    mapping.executable = (flags & 4) != 0;
    mapping.shared = (flags & 0x80) != 0;
    const Va file{vma.word(*profile_.vma_file)};
    if (file.is_null()) {
      mapping.path = special_name(vma, landmarks);
      return mapping;
    }
    mapping.file_offset = vma.word(*profile_.vma_pgoff) << profile_.layout.page_shift;
    const FileName& name = file_name(file);
    mapping.path = name.path;
    mapping.file_id = name.inode;
    return mapping;
  }

  // A file whose name cannot be read is still a file: the mapping is kept, its name says so.
  const FileName& file_name(Va file) {
    const auto [slot, fresh] = names_.try_emplace(file);
    if (fresh) {
      slot->second = read_file_name(kernel_, profile_, file)
                         .value_or(FileName{"(unreadable name)", file.value});
    }
    return slot->second;
  }

  // [get_vma_name in fs/proc/task_mmu.c] vDSO and its data are special mappings since 3.16: their
  // vm_private_data is a struct vm_special_mapping, whose first member is the name.
  std::string special_name(const Blob& vma, const Landmarks& landmarks) {
    const std::uint64_t start = vma.word(*profile_.vma_start);
    const std::uint64_t end = vma.word(*profile_.vma_end);
    const std::uint64_t special =
        profile_.vma_private_data ? vma.word(*profile_.vma_private_data) : 0;
    if (profile_.layout.is_pointer(special)) {
      const Va text{read_word(kernel_, Va{special}, profile_.layout).value_or(0)};
      const auto name = read_c_string(kernel_, text, kLongestSpecialName);
      if (name && name->starts_with('[') && name->ends_with(']')) return *name;
    }
    if (landmarks.vdso != 0 && start == landmarks.vdso) return "[vdso]";
    if (start < landmarks.brk && end > landmarks.start_brk) return "[heap]";
    if (start <= landmarks.start_stack && end >= landmarks.start_stack) return "[stack]";
    return {};
  }

  VirtualMemory& kernel_;
  const LinuxProfile& profile_;
  std::size_t vma_bytes_ = 0;
  std::unordered_map<Va, FileName> names_;
};

}  // namespace

Result<std::vector<Mapping>> read_mappings(VirtualMemory& kernel, const LinuxProfile& profile,
                                           Va mm) {
  return MappingReader(kernel, profile).read(mm);
}

}  // namespace swat::os
