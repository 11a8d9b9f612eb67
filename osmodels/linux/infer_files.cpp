#include <map>
#include <set>

#include "osmodels/linux/inference.hpp"

namespace swat::os::inference {
namespace {

constexpr std::uint32_t kWord = 8;
constexpr std::uint32_t kVmaBytes = 0x100;
constexpr std::uint32_t kFileBytes = 0x100;
constexpr std::uint32_t kDentryBytes = 0x180;
constexpr std::uint32_t kMountBytes = 0x80;
constexpr std::size_t kLongestChain = 64;

// Where a dentry has its name: d_name = {hash, len, name}, and the name itself where it is short.
struct NameLayout {
  std::uint32_t pointer;
  std::uint32_t inline_name;
  friend auto operator<=>(const NameLayout&, const NameLayout&) = default;
};

// A pointer into the dentry itself, to a string whose length is in the 32 bits before the pointer.
std::optional<NameLayout> short_name(const Blob& dentry) {
  constexpr std::uint32_t kLastPointer = 0xa0;
  constexpr std::uint64_t kLastInline = 0x140;
  for (std::uint32_t at = kWord; at < kLastPointer; at += kWord) {
    const std::uint64_t distance = dentry.word(at) - dentry.at.value;
    if (distance <= at || distance > kLastInline) continue;
    const auto from = dentry.bytes.begin() + static_cast<std::ptrdiff_t>(distance);
    const auto end = std::find(from, dentry.bytes.end(), std::byte{0});
    const auto length = static_cast<std::uint64_t>(end - from);
    const bool is_text = std::all_of(from, end, [](std::byte c) { return c > std::byte{0x1f}; });
    if (length == 0 || !is_text || dentry.load<std::uint32_t>(at - 4) != length) continue;
    return NameLayout{at, static_cast<std::uint32_t>(distance)};
  }
  return {};
}

struct FileLayout {
  std::uint32_t vma_file = 0;
  std::uint32_t dentry = 0;  // in struct file
  NameLayout name{};
  std::size_t votes = 0;
};

class FileInference {
 public:
  FileInference(const InferenceInput& input, const std::vector<AddressSpaceSample>& spaces,
                LinuxProfile& profile)
      : kernel_(input.kernel), spaces_(spaces), profile_(profile) {
    for (const AddressSpaceSample& space : spaces) {
      for (const Vma& vma : space.vmas) vmas_.push_back(&vma);
    }
  }

  Result<> run() {
    if (!find_files()) return fail(Errc::kNotFound, "no VMA has a file with a dentry");
    infer_neighbours();
    infer_vdso();
    if (!infer_parent()) return fail(Errc::kNotFound, "no dentry leads to a root \"/\"");
    infer_inode();
    infer_hash();
    infer_mounts();
    return {};
  }

 private:
  // The distinct non-null values of a VMA word that may be vm_file: kernel pointers, null
  // somewhere.
  [[nodiscard]] std::vector<Va> pointers_at(std::uint32_t offset) const {
    std::set<Va> found;
    bool null = false;
    for (const Vma* vma : vmas_) {
      const std::uint64_t value = vma->blob.word(offset);
      if (value != 0 && !is_kernel_pointer(value)) return {};
      null = null || value == 0;
      if (value != 0) found.insert(Va{value});
    }
    if (!null) return {};
    return {found.begin(), found.end()};
  }

  void try_files(std::uint32_t vma_file, const std::vector<Blob>& files) {
    for (std::uint32_t offset = 0; offset < kFileBytes; offset += kWord) {
      std::map<NameLayout, std::size_t> votes;
      for (const Blob& file : files) {
        if (!is_kernel_pointer(file.word(offset))) break;
        const auto name = short_name(read_sparse(kernel_, Va{file.word(offset)}, kDentryBytes));
        if (name) ++votes[*name];
      }
      for (const auto& [name, count] : votes) {
        if (count > best_.votes) best_ = {vma_file, offset, name, count};
      }
    }
  }

  bool find_files() {
    for (std::uint32_t offset = 0; offset < kVmaBytes; offset += kWord) {
      std::vector<Blob> files;
      for (const Va at : pointers_at(offset)) files.push_back(read_sparse(kernel_, at, kFileBytes));
      if (!files.empty()) try_files(offset, files);
    }
    if (best_.votes < 2 || best_.vma_file < kWord || best_.dentry < kWord) return false;
    for (const Va at : pointers_at(best_.vma_file)) {
      files_.push_back(read_sparse(kernel_, at, kFileBytes));
      dentries_.push_back(read_sparse(kernel_, Va{files_.back().word(best_.dentry)}, kDentryBytes));
    }
    return true;
  }

  // vm_pgoff, vm_file, vm_private_data; struct path {mnt, dentry}: in this order from 2.6.25
  // to 6.12.
  void infer_neighbours() {
    profile_.vma_file = best_.vma_file;
    profile_.vma_pgoff = best_.vma_file - kWord;
    profile_.vma_private_data = best_.vma_file + kWord;
    profile_.file_dentry = best_.dentry;
    profile_.file_mnt = best_.dentry - kWord;
    profile_.dentry_name = best_.name.pointer;
  }

  // The word of an mm that is, in nearly all of them, the start of an executable VMA without a
  // file.
  void infer_vdso() {
    constexpr std::uint64_t kExec = 4;
    constexpr std::uint64_t kAtSysinfoEhdr = 33;
    if (!profile_.vma_flags) return;
    const auto is_vdso = [&](const AddressSpaceSample& space, std::uint32_t offset) {
      if (space.mm.word(offset - kWord) == kAtSysinfoEhdr) return false;
      return std::ranges::any_of(space.vmas, [&](const Vma& vma) {
        return vma.range.start.value == space.mm.word(offset) &&
               vma.blob.word(best_.vma_file) == 0 &&
               (vma.blob.word(*profile_.vma_flags) & kExec) != 0;
      });
    };
    const auto end = static_cast<std::uint32_t>(spaces_.front().mm.bytes.size());
    profile_.mm_vdso = first_offset(kWord, end, kWord, [&](auto o) {
      const auto hold = std::ranges::count_if(
          spaces_, [&](const AddressSpaceSample& space) { return is_vdso(space, o); });
      return static_cast<std::size_t>(hold) * 4 >= spaces_.size() * 3;
    });
  }

  // Steps from a dentry to one that is its own parent; nullopt when the chain is none.
  std::optional<std::size_t> steps_to_root(const Blob& dentry, std::uint32_t parent, Va* root) {
    Va at = dentry.at;
    for (std::size_t steps = 0; steps < kLongestChain; ++steps) {
      const Result<std::uint64_t> up = read_as<std::uint64_t>(kernel_, at + parent);
      if (!up || !is_kernel_pointer(*up)) return {};
      if (Va{*up} == at) {
        if (root != nullptr) *root = at;
        return steps;
      }
      at = Va{*up};
    }
    return {};
  }

  bool is_named_root(Va dentry) {
    const auto name = read_as<std::uint64_t>(kernel_, dentry + best_.name.pointer);
    const auto text = name ? read_as<std::uint16_t>(kernel_, Va{*name}) : Result<std::uint16_t>(0);
    return text && *text == '/';
  }

  bool infer_parent() {
    profile_.dentry_parent = first_offset(0, best_.name.pointer, kWord, [&](auto o) {
      std::size_t good = 0;
      for (const Blob& dentry : dentries_) {
        Va root{};
        const auto steps = steps_to_root(dentry, o, &root);
        if (!steps) return false;
        good += *steps > 0 && is_named_root(root) ? 1 : 0;
      }
      return good >= 2;
    });
    return profile_.dentry_parent.has_value();
  }

  // The file knows its inode as well: as f_inode (since 3.9), or as the first word of its
  // f_mapping.
  bool is_inode_of(const Blob& file, std::uint64_t inode) {
    for (std::uint32_t offset = 0; offset < kFileBytes; offset += kWord) {
      if (offset == best_.dentry || offset == best_.dentry - kWord) continue;
      const std::uint64_t value = file.word(offset);
      if (value == inode) return true;
      if (!is_kernel_pointer(value)) continue;
      const auto host = read_as<std::uint64_t>(kernel_, Va{value});
      if (host && *host == inode) return true;
    }
    return false;
  }

  void infer_inode() {
    profile_.dentry_inode = first_offset(0, best_.name.inline_name, kWord, [&](auto o) {
      if (o == *profile_.dentry_parent) return false;
      for (std::size_t i = 0; i < files_.size(); ++i) {
        const std::uint64_t inode = dentries_[i].word(o);
        if (!is_kernel_pointer(inode) || !is_inode_of(files_[i], inode)) return false;
      }
      return true;
    });
  }

  // d_hash {next, pprev}: what pprev points to holds the address of d_hash, bit 0 being a lock.
  void infer_hash() {
    profile_.dentry_hash_pprev = first_offset(kWord, *profile_.dentry_parent, kWord, [&](auto o) {
      std::size_t hashed = 0;
      for (const Blob& dentry : dentries_) {
        if (dentry.word(o) == 0) continue;
        const auto back = read_as<std::uint64_t>(kernel_, Va{dentry.word(o)});
        if (!back || (*back & ~std::uint64_t{1}) != dentry.at.value + o - kWord) return false;
        ++hashed;
      }
      return hashed >= 2;
    });
  }

  struct MountLayout {
    std::uint32_t vfsmount;
    std::uint32_t root;
  };

  // The struct vfsmount at `at` hangs, over at most a few others, below one that is its own parent;
  // every root on the way is a dentry without a parent.
  bool leads_to_top(Va at, const MountLayout& layout) {
    for (std::size_t steps = 0; steps < kLongestChain; ++steps) {
      const Va mount = at - layout.vfsmount;
      const auto parent = read_as<std::uint64_t>(kernel_, mount + kMountParent);
      const auto point = read_as<std::uint64_t>(kernel_, mount + kMountParent + kWord);
      const auto root = read_as<std::uint64_t>(kernel_, at + layout.root);
      if (!parent || !point || !root || !is_kernel_pointer(*parent) || !is_kernel_pointer(*root) ||
          !is_kernel_pointer(*point) || !has_chain(Va{*point}) || !has_chain(Va{*root})) {
        return false;
      }
      if (Va{*parent} == mount) return true;
      at = Va{*parent} + layout.vfsmount;
    }
    return false;
  }

  bool has_chain(Va dentry) {
    return steps_to_root(Blob{dentry, {}}, *profile_.dentry_parent, nullptr).has_value();
  }

  // A file lies at or below the root of the mount that it was opened through.
  bool roots_hold_files(const MountLayout& layout) {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      const Va mnt{files_[i].word(*profile_.file_mnt)};
      const auto root = read_as<std::uint64_t>(kernel_, mnt + layout.root);
      Va at = dentries_[i].at;
      for (std::size_t steps = 0; root && steps < kLongestChain && at != Va{*root}; ++steps) {
        const auto up = read_as<std::uint64_t>(kernel_, at + *profile_.dentry_parent);
        if (!up) return false;
        if (Va{*up} == at) break;
        at = Va{*up};
      }
      const bool is_pseudo = at == dentries_[i].at;  // of no directory: a memfd
      if (!root || (at != Va{*root} && !is_pseudo)) return false;
    }
    return true;
  }

  // mnt_parent and mnt_mountpoint follow the two words of mnt_hash in every version; what varies is
  // whether struct vfsmount begins here (until 3.2) or behind them, and where its mnt_root is.
  // [include/linux/mount.h, fs/mount.h]
  void infer_mounts() {
    std::set<Va> mounts;
    for (const Blob& file : files_) mounts.insert(Va{file.word(*profile_.file_mnt)});
    for (std::uint32_t vfsmount = 0; vfsmount < kMountBytes; vfsmount += kWord) {
      for (std::uint32_t root = 0; root < kMountBytes; root += kWord) {
        const bool overlaps = vfsmount == 0 && root < kMountParent + 2 * kWord;
        if (overlaps ||
            !std::ranges::all_of(mounts,
                                 [&](Va at) {
                                   return leads_to_top(at, {vfsmount, root});
                                 }) ||
            !roots_hold_files({vfsmount, root})) {
          continue;
        }
        profile_.mount_parent = kMountParent;
        profile_.mount_mountpoint = kMountParent + kWord;
        profile_.mount_vfsmount = vfsmount;
        profile_.vfsmount_root = root;
        return;
      }
    }
  }

  static constexpr std::uint32_t kMountParent = 2 * kWord;

  VirtualMemory& kernel_;
  const std::vector<AddressSpaceSample>& spaces_;
  LinuxProfile& profile_;
  std::vector<const Vma*> vmas_;
  FileLayout best_;
  std::vector<Blob> files_;
  std::vector<Blob> dentries_;  // of files_, in the same order
};

}  // namespace

Result<> infer_files(const InferenceInput& input, const std::vector<AddressSpaceSample>& spaces,
                     LinuxProfile& profile) {
  return FileInference(input, spaces, profile).run();
}

}  // namespace swat::os::inference
