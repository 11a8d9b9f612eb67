#include "osmodels/linux/judged_spaces.hpp"

#include <map>
#include <set>
#include <utility>

#include "osmodels/linux/maple_tree.hpp"

namespace swat::os {
namespace {

using inference::AddressSpaceSample;
using inference::Vma;

constexpr std::size_t kMostSpaces = 16;
constexpr std::size_t kMostVmas = 64;  // of each space
constexpr std::size_t kMostFiles = 48;

// A page that user mode may use, where no mapping is: the first mapping was not the first.
bool has_page_below(AddressSpace& user, Va first) {
  bool found = false;
  const auto walked = user.for_each_leaf({Va{0}, first}, [&](Va, const Translation& to) {
    found = to.user;
    return !found;
  });
  return !walked || found;
}

struct MappedFiles {
  std::set<std::uint64_t> files;  // of struct file, each once
  bool and_anonymous = false;     // there are mappings of no file, too
};

MappedFiles mapped_files(const std::vector<AddressSpaceSample>& spaces, std::uint32_t vma_file) {
  MappedFiles found;
  for (const AddressSpaceSample& space : spaces) {
    for (const Vma& vma : space.vmas) {
      const std::uint64_t file = vma.blob.word(vma_file);
      if (file == 0) found.and_anonymous = true;
      if (file != 0 && found.files.size() < kMostFiles) found.files.insert(file);
    }
  }
  return found;
}

}  // namespace

Result<std::uint64_t> JudgedSpaces::word_at(Va at) const {
  return read_word(input_.kernel, at, layout_);
}

Result<Va> JudgedSpaces::pointer_at(Va at) const {
  const Va value{SWAT_TRY(word_at(at))};
  if (layout_.is_pointer(value.value)) return value;
  return fail(Errc::kBadImage, "no pointer of the kernel", at.value);
}

std::vector<Va> JudgedSpaces::vma_addresses(Va mm) const {
  std::vector<Va> found;
  if (profile_.mm_tree_root) {
    constexpr std::size_t kMostEntries = 1 << 17;
    const auto root = word_at(mm + *profile_.mm_tree_root);
    if (!root || !is_maple_node(*root)) return {};
    const auto entries = read_maple_tree(input_.kernel, *root, kMostEntries, layout_);
    if (!entries) return {};
    for (const MapleEntry& entry : *entries) {
      if (found.size() < kMostVmas) found.push_back(entry.entry);
    }
    return found;
  }
  auto at = word_at(mm + *profile_.mm_mmap);
  while (at && *at != 0 && found.size() < kMostVmas && profile_.vma_next) {
    if (!layout_.is_pointer(*at)) return {};
    found.push_back(Va{*at});
    at = word_at(Va{*at} + *profile_.vma_next);
  }
  return at ? found : std::vector<Va>{};
}

// Empty unless all of them are ranges that follow each other.
std::vector<Vma> JudgedSpaces::vmas_of(Va mm) const {
  std::uint32_t size = 0;
  for (const MemberOffset& member : {profile_.vma_start, profile_.vma_end, profile_.vma_mm,
                                     profile_.vma_flags, profile_.vma_pgoff, profile_.vma_file}) {
    size = std::max(size, member.value_or(0) + word_);
  }
  std::vector<Vma> vmas;
  for (const Va at : vma_addresses(mm)) {
    Blob blob = read_sparse(input_.kernel, at, size, layout_);
    const VaRange range{Va{blob.word(*profile_.vma_start)}, Va{blob.word(*profile_.vma_end)}};
    const bool is_own = !profile_.vma_mm || blob.word(*profile_.vma_mm) == mm.value;
    const bool follows = vmas.empty() || vmas.back().range.end <= range.start;
    if (!is_own || !follows || !layout_.is_user_range(range.start.value, range.end.value)) {
      return {};
    }
    vmas.push_back({std::move(blob), range});
  }
  return vmas;
}

bool JudgedSpaces::leads_to_top(Va mnt, const DentryChain& chain) const {
  constexpr std::size_t kMostMounts = 64;
  for (std::size_t steps = 0; steps < kMostMounts; ++steps) {
    const Va mount = mnt - *profile_.mount_vfsmount;
    const auto parent = pointer_at(mount + *profile_.mount_parent);
    const auto point = pointer_at(mount + *profile_.mount_mountpoint);
    if (!parent || !point || !chain.root_of(*point)) return false;
    if (*parent == mount) return true;
    mnt = *parent + *profile_.mount_vfsmount;
  }
  return false;
}

Tally JudgedSpaces::mappings() {
  Tally tally;
  std::set<std::uint64_t> mms;
  for (const Blob& task : tasks_.samples()) mms.insert(task.word(*profile_.task_mm));
  mms.erase(0);
  for (const std::uint64_t mm : mms) {
    if (tally.of == kMostSpaces) break;
    std::vector<Vma> vmas = layout_.is_pointer(mm) ? vmas_of(Va{mm}) : std::vector<Vma>{};
    tally.add(vmas.size() >= 2);
    if (vmas.size() < 2) continue;
    spaces_.push_back({Blob{Va{mm}, {}, word_}, std::move(vmas)});
  }
  const bool begins = tasks_.samples()[0].word(*profile_.task_mm) == 0 &&
                      tasks_.samples()[1].word(*profile_.task_mm) != 0;
  return begins ? tally : tally.refused();
}

Tally JudgedSpaces::page_tables() {
  Tally tally;
  const Result<Translation> entry = input_.kernel.translate(input_.entry);
  for (const AddressSpaceSample& space : spaces_) {
    const std::uint64_t pgd = word_at(space.mm.at + *profile_.mm_pgd).value_or(0);
    const auto root = layout_.is_address(pgd) && pgd % layout_.root_alignment == 0
                          ? input_.kernel.translate(Va{pgd})
                          : fail(Errc::kBadImage, "no page table");
    if (!root || !entry) {
      tally.add(false);
      continue;
    }
    AddressSpace user(input_.ram, input_.geometry, root->at);
    const Result<Translation> same = input_.maps_kernel ? user.translate(input_.entry) : entry;
    const auto pages = inference::present_pages(user, space.vmas);
    tally.add(same && same->at == entry->at && !pages.empty() &&
              !has_page_below(user, space.vmas.front().range.start));
    pages_.insert(pages_.end(), pages.begin(), pages.end());
  }
  return tally;
}

Tally JudgedSpaces::rights() const {
  return {inference::pages_that_agree(pages_, *profile_.vma_flags, layout_), pages_.size()};
}

Tally JudgedSpaces::files() {
  Tally tally;
  const DentryChain chain(input_.kernel, profile_);
  const MappedFiles mapped = mapped_files(spaces_, *profile_.vma_file);
  bool has_directory = false;
  for (const std::uint64_t file : mapped.files) {
    const auto dentry = pointer_at(Va{file} + *profile_.file_dentry);
    const auto root = dentry ? chain.root_of(*dentry) : tl::unexpected(dentry.error());
    const bool in_directory = root && *root != *dentry;
    const bool agrees = root && chain.has_name(*dentry) &&
                        (!in_directory || chain.name_of(*root).value_or("") == "/");
    tally.add(agrees);
    has_directory = has_directory || (agrees && in_directory);
    if (agrees) files_.push_back({Va{file}, *dentry});
  }
  if (spaces_.empty()) return {};
  return mapped.and_anonymous && has_directory ? tally : tally.refused();
}

Tally JudgedSpaces::file_offsets() const {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;  // pages
  constexpr std::uint64_t kPage = 4096;
  constexpr std::size_t kEnough = 4;
  Tally tally;
  bool rises = false;
  for (const AddressSpaceSample& space : spaces_) {
    std::map<std::uint64_t, const Vma*> last;
    for (const Vma& vma : space.vmas) {
      const std::uint64_t file = vma.blob.word(*profile_.vma_file);
      if (file == 0) continue;
      const Vma* before = std::exchange(last[file], &vma);
      if (before == nullptr) continue;
      const std::uint64_t offset = vma.blob.word(*profile_.vma_pgoff);
      const std::uint64_t previous = before->blob.word(*profile_.vma_pgoff);
      const bool agrees = offset < kMost && previous <= offset &&
                          (offset - previous) * kPage <= vma.range.start - before->range.start;
      tally.add(agrees);
      rises = rises || (agrees && previous < offset);
    }
  }
  if (!rises && tally.of < kEnough) return {};
  return rises ? tally : tally.refused();
}

Tally JudgedSpaces::mounts() const {
  Tally tally;
  if (!profile_.vfsmount_root || !profile_.mount_parent || !profile_.mount_vfsmount ||
      !profile_.mount_mountpoint || !profile_.file_mnt) {
    return tally;
  }
  const DentryChain chain(input_.kernel, profile_);
  for (const OpenFile& file : files_) {
    const auto mnt = pointer_at(file.at + *profile_.file_mnt);
    const auto root = mnt ? pointer_at(*mnt + *profile_.vfsmount_root) : mnt;
    const bool holds = root && (chain.passes(file.dentry, *root) ||
                                chain.root_of(file.dentry).value_or(Va{}) == file.dentry);
    tally.add(holds && leads_to_top(*mnt, chain));
  }
  return tally;
}

Tally JudgedSpaces::heap_and_stack() const {
  Tally tally;
  if (!profile_.mm_start_brk || !profile_.mm_brk || !profile_.mm_start_stack) return tally;
  for (const AddressSpaceSample& space : spaces_) {
    const auto start = word_at(space.mm.at + *profile_.mm_start_brk).value_or(0);
    const auto end = word_at(space.mm.at + *profile_.mm_brk).value_or(0);
    const Va stack{word_at(space.mm.at + *profile_.mm_start_stack).value_or(0)};
    tally.add(
        start != 0 && start <= end && !layout_.is_address(end) &&
        std::ranges::any_of(space.vmas, [&](const Vma& vma) { return vma.range.contains(stack); }));
  }
  return tally;
}

}  // namespace swat::os
