#include <set>

#include "osmodels/linux/inference.hpp"
#include "osmodels/linux/maple_tree.hpp"
#include "osmodels/linux/present_pages.hpp"

namespace swat::os::inference {
namespace {

constexpr std::uint32_t kMmBytes = 0x600;
constexpr std::size_t kVmaBytes = 0x100;
constexpr std::size_t kMostSpaces = 24;
constexpr std::size_t kMostVmas = 128;

// How one kernel reaches VMAs from an mm, and what it puts where in a VMA.
struct VmaLayout {
  MemberOffset mmap;
  MemberOffset tree_root;
  std::uint32_t start = 0;
  MemberOffset next;
  std::uint32_t mm = 0;
};

MemberOffset offset_of(const Blob& blob, std::uint64_t value) {
  return first_offset(0, static_cast<std::uint32_t>(blob.bytes.size()), blob.word_bytes,
                      [&](auto o) { return blob.word(o) == value; });
}

// Until 6.0: mm->mmap, at the very start, is the first VMA. Order of a VMA's members: vm_mm,
// vm_start, vm_end, vm_next until 3.7; vm_start, vm_end, vm_next, vm_prev, ..., vm_mm since.
// [include/linux/mm_types.h]
std::optional<VmaLayout> list_layout(const InferenceInput& input, const Blob& mm) {
  const unsigned word = input.layout.word_bytes;
  if (!input.layout.is_pointer(mm.word(0))) return {};
  const Blob vma = read_sparse(input.kernel, Va{mm.word(0)}, kVmaBytes, input.layout);
  const MemberOffset own_mm = offset_of(vma, mm.at.value);
  const MemberOffset start = first_offset(0, 4 * word, word, [&](auto o) {
    return input.layout.is_user_range(vma.word(o), vma.word(o + word)) &&
           input.layout.is_pointer(vma.word(o + 2 * word));
  });
  if (!own_mm || !start) return {};
  return VmaLayout{0, {}, *start, *start + 2 * word, *own_mm};
}

// Since 6.1: a maple tree whose entries are the VMAs and whose ranges are theirs.
std::optional<VmaLayout> tree_layout(const InferenceInput& input, const Blob& mm) {
  const unsigned word = input.layout.word_bytes;
  constexpr std::uint32_t kLastRoot = 0x100;
  for (std::uint32_t root = 0; root < kLastRoot; root += word) {
    if (!is_maple_node(mm.word(root)) || !input.layout.is_address(mm.word(root))) continue;
    const auto entries =
        read_maple_tree(input.kernel, mm.word(root), kMostVmas * 512, input.layout);
    if (!entries || entries->size() < 2) continue;
    const MapleEntry& entry = entries->front();
    const Blob vma = read_sparse(input.kernel, entry.entry, kVmaBytes, input.layout);
    const MemberOffset start = offset_of(vma, entry.first);
    const MemberOffset own_mm = offset_of(vma, mm.at.value);
    if (!start || !own_mm || vma.word(*start + word) != entry.last + 1) continue;
    return VmaLayout{{}, root, *start, {}, *own_mm};
  }
  return {};
}

std::vector<Va> list_vmas(const InferenceInput& input, const Blob& mm, const VmaLayout& layout) {
  std::vector<Va> vmas;
  Va at{mm.word(*layout.mmap)};
  while (!at.is_null() && vmas.size() < kMostVmas) {
    vmas.push_back(at);
    at = Va{read_word(input.kernel, at + *layout.next, input.layout).value_or(0)};
  }
  return vmas;
}

std::vector<Va> tree_vmas(const InferenceInput& input, const Blob& mm, const VmaLayout& layout) {
  std::vector<Va> vmas;
  const auto entries =
      read_maple_tree(input.kernel, mm.word(*layout.tree_root), kMostVmas * 512, input.layout);
  if (!entries) return {};
  for (const MapleEntry& entry : *entries) {
    if (vmas.size() < kMostVmas) vmas.push_back(entry.entry);
  }
  return vmas;
}

// Empty unless every VMA is a range behind the one before and belongs to `mm`.
std::vector<Vma> vmas_of(const InferenceInput& input, const Blob& mm, const VmaLayout& layout) {
  std::vector<Vma> vmas;
  for (const Va at : layout.mmap ? list_vmas(input, mm, layout) : tree_vmas(input, mm, layout)) {
    Blob blob = read_sparse(input.kernel, at, kVmaBytes, input.layout);
    const VaRange range{Va{blob.word(layout.start)}, Va{blob.word(layout.start + blob.word_bytes)}};
    const bool follows = vmas.empty() || vmas.back().range.end <= range.start;
    if (!input.layout.is_user_range(range.start.value, range.end.value) || !follows ||
        blob.word(layout.mm) != mm.at.value) {
      return {};
    }
    vmas.push_back({std::move(blob), range});
  }
  return vmas;
}

// The distinct values of a candidate for task_mm; empty when it is none: null for init_task, not
// for init, which is next in the list, null or a kernel pointer for the rest, and a word soon after
// that agrees (active_mm).
std::vector<Va> mms_at(const std::vector<Blob>& samples, std::uint32_t offset,
                       const KernelLayout& layout) {
  const unsigned word = layout.word_bytes;
  const std::uint32_t active_within = 12 * word;
  std::set<std::uint64_t> mms;
  for (const Blob& task : samples) {
    const std::uint64_t mm = task.word(offset);
    if (mm != 0 && !layout.is_pointer(mm)) return {};
    if (mm != 0) mms.insert(mm);
  }
  const bool begins =
      samples.size() > 1 && samples[0].word(offset) == 0 && samples[1].word(offset) != 0;
  if (!begins) return {};
  const MemberOffset active =
      first_offset(offset + word, offset + active_within, word, [&](auto o) {
        return std::ranges::all_of(samples, [&](const Blob& task) {
          return task.word(offset) == 0 || task.word(o) == task.word(offset);
        });
      });
  std::vector<Va> found;
  for (const std::uint64_t mm : mms) {
    if (active && found.size() < kMostSpaces) found.push_back(Va{mm});
  }
  return found;
}

std::vector<AddressSpaceSample> spaces_of(const InferenceInput& input, const std::vector<Va>& mms,
                                          LinuxProfile& profile) {
  std::vector<AddressSpaceSample> spaces;
  std::optional<VmaLayout> layout;
  for (const Va at : mms) {
    AddressSpaceSample space{read_sparse(input.kernel, at, kMmBytes, input.layout), {}};
    if (!layout) layout = list_layout(input, space.mm);
    if (!layout) layout = tree_layout(input, space.mm);
    if (!layout) return {};
    space.vmas = vmas_of(input, space.mm, *layout);
    if (space.vmas.size() < 2) return {};
    spaces.push_back(std::move(space));
  }
  if (!layout) return {};
  profile.mm_mmap = layout->mmap;
  profile.mm_tree_root = layout->tree_root;
  profile.vma_start = layout->start;
  profile.vma_end = layout->start + input.layout.word_bytes;
  profile.vma_next = layout->next;
  profile.vma_mm = layout->mm;
  return spaces;
}

// The pages of every space that a candidate for mm_pgd makes readable; empty unless each candidate
// value is a page table that maps the kernel as the known one does.
std::vector<PresentPage> probes_with_pgd(const InferenceInput& input,
                                         const std::vector<AddressSpaceSample>& spaces,
                                         std::uint32_t offset) {
  const Result<Translation> entry = input.kernel.translate(input.entry);
  std::vector<PresentPage> all;
  for (const AddressSpaceSample& space : spaces) {
    const std::uint64_t pgd = space.mm.word(offset);
    if (!entry || !input.layout.is_address(pgd) || pgd % input.layout.root_alignment != 0)
      return {};
    const Result<Translation> root = input.kernel.translate(Va{pgd});
    if (!root) return {};
    AddressSpace user(input.ram, input.geometry, root->at);
    const Result<Translation> same = input.maps_kernel ? user.translate(input.entry) : entry;
    if (!same || same->at != entry->at) return {};
    const std::vector<PresentPage> probes = present_pages(user, space.vmas);
    all.insert(all.end(), probes.begin(), probes.end());
  }
  return all;
}

// Eleven words in this order since 2.6: start_code, end_code, start_data, end_data, start_brk, brk,
// start_stack, arg_start, arg_end, env_start, env_end. [include/linux/mm_types.h]
bool is_code_to_environment(const AddressSpaceSample& space, std::uint32_t offset) {
  const auto w = [&](std::uint32_t i) { return space.mm.word(offset + i * space.mm.word_bytes); };
  const bool pairs = w(0) < w(1) && w(2) <= w(3) && w(4) <= w(5) && w(0) != 0 && w(4) != 0;
  const bool rising = w(6) <= w(7) && w(7) < w(8) && w(8) <= w(9) && w(9) <= w(10);
  return pairs && rising && std::ranges::any_of(space.vmas, [&](const Vma& vma) {
           return vma.range.contains(Va{w(6)}) && vma.range.contains(Va{w(10) - 1});
         });
}

void infer_brk(const std::vector<AddressSpaceSample>& spaces, LinuxProfile& profile) {
  const unsigned word = profile.layout.word_bytes;
  const MemberOffset found = first_offset(0, kMmBytes - 11 * word, word, [&](auto o) {
    const auto hold = std::ranges::count_if(
        spaces, [&](const AddressSpaceSample& s) { return is_code_to_environment(s, o); });
    return static_cast<std::size_t>(hold) * 4 >=
           spaces.size() * 3;  // prctl(PR_SET_MM) may break it
  });
  if (!found) return;
  profile.mm_start_brk = *found + 4 * word;
  profile.mm_brk = *found + 5 * word;
  profile.mm_start_stack = *found + 6 * word;
}

std::vector<AddressSpaceSample> find_spaces(const InferenceInput& input, const Tasks& tasks,
                                            LinuxProfile& profile) {
  for (std::uint32_t offset = 0; offset < *profile.task_comm; offset += input.layout.word_bytes) {
    const std::vector<Va> mms = mms_at(tasks.samples, offset, input.layout);
    if (mms.empty()) continue;
    std::vector<AddressSpaceSample> spaces = spaces_of(input, mms, profile);
    if (spaces.empty()) continue;
    profile.task_mm = offset;
    return spaces;
  }
  return {};
}

}  // namespace

Result<std::vector<AddressSpaceSample>> infer_address_spaces(const InferenceInput& input,
                                                             const Tasks& tasks,
                                                             LinuxProfile& profile) {
  std::vector<AddressSpaceSample> spaces = find_spaces(input, tasks, profile);
  if (spaces.empty()) return fail(Errc::kNotFound, "no task has an address space of known layout");
  const unsigned word = input.layout.word_bytes;
  std::vector<PresentPage> probes;
  profile.mm_pgd = first_offset(0, kMmBytes, word, [&](auto o) {
    probes = probes_with_pgd(input, spaces, o);
    return probes.size() >= spaces.size();
  });
  if (!profile.mm_pgd) return fail(Errc::kNotFound, "no page table in any address space");
  profile.vma_flags = first_offset(0, kVmaBytes, word, [&](auto o) {
    return o != *profile.vma_start && o != *profile.vma_end &&
           pages_that_agree(probes, o, input.layout) == probes.size();
  });
  infer_brk(spaces, profile);
  return spaces;
}

}  // namespace swat::os::inference
