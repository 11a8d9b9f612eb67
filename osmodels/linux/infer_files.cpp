#include <map>
#include <set>

#include "osmodels/linux/inference.hpp"

namespace swat::os::inference {
namespace {

constexpr std::uint32_t kVmaBytes = 0x100;
constexpr std::uint32_t kFileBytes = 0x100;
constexpr std::uint32_t kDentryBytes = 0x180;
constexpr std::uint32_t kMountBytes = 0x80;
constexpr std::size_t kLongestChain = 64;

// Where a dentry has its name: d_name = {hash, len, name}, in 2.4 {name, len, hash}; and the name
// itself where it is short.
struct NameLayout {
  std::uint32_t pointer;
  std::uint32_t inline_name;
  friend auto operator<=>(const NameLayout&, const NameLayout&) = default;
};

// A pointer into the dentry itself, to a string whose length is in the 32 bits before the pointer,
// or behind it.
std::optional<NameLayout> short_name(const Blob& dentry) {
  constexpr std::uint32_t kLastPointer = 0xa0;
  constexpr std::uint64_t kLastInline = 0x140;
  for (std::uint32_t at = dentry.word_bytes; at < kLastPointer; at += dentry.word_bytes) {
    const std::uint64_t distance = dentry.word(at) - dentry.at.value;
    if (distance <= at || distance > kLastInline) continue;
    const auto from = dentry.bytes.begin() + static_cast<std::ptrdiff_t>(distance);
    const auto end = std::find(from, dentry.bytes.end(), std::byte{0});
    const auto length = static_cast<std::uint64_t>(end - from);
    const bool is_text = std::all_of(from, end, [](std::byte c) { return c > std::byte{0x1f}; });
    const bool has_length = dentry.load<std::uint32_t>(at - 4) == length ||
                            dentry.load<std::uint32_t>(at + dentry.word_bytes) == length;
    if (length == 0 || !is_text || !has_length) continue;
    return NameLayout{at, static_cast<std::uint32_t>(distance)};
  }
  return {};
}

struct FileLayout {
  std::uint32_t vma_file = 0;
  std::uint32_t dentry = 0;  // in struct file
  NameLayout name{};
  std::size_t votes = 0;
  std::size_t files = 0;  // so many could have voted

  // In a guest of two programs, two of many objects that are no files have looked like files.
  [[nodiscard]] bool is_better_than(const FileLayout& other) const {
    return votes > other.votes || (votes == other.votes && files < other.files);
  }
};

class FileInference {
 public:
  FileInference(const InferenceInput& input, const std::vector<AddressSpaceSample>& spaces,
                LinuxProfile& profile)
      : kernel_(input.kernel),
        layout_(input.layout),
        word_(input.layout.word_bytes),
        spaces_(spaces),
        profile_(profile) {
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
    // struct path {mnt, dentry} since 2.6.20; before, f_dentry and f_vfsmnt.
    infer_mounts(best_.dentry - word_);
    if (!profile_.vfsmount_root) infer_mounts(best_.dentry + word_);
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
      if (value != 0 && !layout_.is_pointer(value)) return {};
      null = null || value == 0;
      if (value != 0) found.insert(Va{value});
    }
    if (!null) return {};
    return {found.begin(), found.end()};
  }

  // Before a file's dentry is at least a word of its own: the mount, or a list's pointers.
  void try_files(std::uint32_t vma_file, const std::vector<Blob>& files) {
    for (std::uint32_t offset = word_; offset < kFileBytes; offset += word_) {
      std::map<NameLayout, std::size_t> votes;
      for (const Blob& file : files) {
        if (!layout_.is_pointer(file.word(offset))) break;
        const auto name = short_name(blob(Va{file.word(offset)}, kDentryBytes));
        if (name) ++votes[*name];
      }
      for (const auto& [name, count] : votes) {
        const FileLayout found{vma_file, offset, name, count, files.size()};
        if (found.is_better_than(best_)) best_ = found;
      }
    }
  }

  bool find_files() {
    for (std::uint32_t offset = word_; offset < kVmaBytes; offset += word_) {
      std::vector<Blob> files;
      for (const Va at : pointers_at(offset)) files.push_back(blob(at, kFileBytes));
      if (!files.empty()) try_files(offset, files);
      // Beyond the end of a VMA may lie another one, with its file.
      const bool are_nearly_all = best_.vma_file == offset && best_.votes * 4 >= files.size() * 3;
      if (are_nearly_all && best_.votes >= 2) break;
    }
    if (best_.votes < 2) return false;
    for (const Va at : pointers_at(best_.vma_file)) {
      files_.push_back(blob(at, kFileBytes));
      dentries_.push_back(blob(Va{files_.back().word(best_.dentry)}, kDentryBytes));
    }
    return true;
  }

  // vm_pgoff, vm_file, vm_private_data: in this order from 2.5 to 6.12; 2.4 has vm_raend before the
  // last.
  void infer_neighbours() {
    profile_.vma_file = best_.vma_file;
    profile_.vma_pgoff = best_.vma_file - word_;
    profile_.vma_private_data = best_.vma_file + word_;
    profile_.file_dentry = best_.dentry;
    profile_.dentry_name = best_.name.pointer;
  }

  // The word of an mm that is, in nearly all of them, the start of an executable VMA without a
  // file.
  void infer_vdso() {
    constexpr std::uint64_t kExec = 4;
    constexpr std::uint64_t kAtSysinfoEhdr = 33;
    if (!profile_.vma_flags) return;
    const auto is_vdso = [&](const AddressSpaceSample& space, std::uint32_t offset) {
      if (space.mm.word(offset - word_) == kAtSysinfoEhdr) return false;
      return std::ranges::any_of(space.vmas, [&](const Vma& vma) {
        return vma.range.start.value == space.mm.word(offset) &&
               vma.blob.word(best_.vma_file) == 0 &&
               (vma.blob.word(*profile_.vma_flags) & kExec) != 0;
      });
    };
    const auto end = static_cast<std::uint32_t>(spaces_.front().mm.bytes.size());
    profile_.mm_vdso = first_offset(word_, end, word_, [&](auto o) {
      const auto hold = std::ranges::count_if(
          spaces_, [&](const AddressSpaceSample& space) { return is_vdso(space, o); });
      return static_cast<std::size_t>(hold) * 4 >= spaces_.size() * 3;
    });
  }

  // Steps from a dentry to one that is its own parent; nullopt when the chain is none.
  std::optional<std::size_t> steps_to_root(const Blob& dentry, std::uint32_t parent, Va* root) {
    Va at = dentry.at;
    for (std::size_t steps = 0; steps < kLongestChain; ++steps) {
      const Result<std::uint64_t> up = word_at(at + parent);
      if (!up || !layout_.is_pointer(*up)) return {};
      if (Va{*up} == at) {
        if (root != nullptr) *root = at;
        return steps;
      }
      at = Va{*up};
    }
    return {};
  }

  bool is_named_root(Va dentry) {
    const auto name = word_at(dentry + best_.name.pointer);
    const auto text = name ? read_as<std::uint16_t>(kernel_, Va{*name}) : Result<std::uint16_t>(0);
    return text && *text == '/';
  }

  bool infer_parent() {
    profile_.dentry_parent = first_offset(0, best_.name.pointer, word_, [&](auto o) {
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
    for (std::uint32_t offset = 0; offset < kFileBytes; offset += word_) {
      if (offset == best_.dentry || offset == best_.dentry - word_) continue;
      const std::uint64_t value = file.word(offset);
      if (value == inode) return true;
      if (!layout_.is_pointer(value)) continue;
      const auto host = word_at(Va{value});
      if (host && *host == inode) return true;
    }
    return false;
  }

  void infer_inode() {
    profile_.dentry_inode = first_offset(0, best_.name.inline_name, word_, [&](auto o) {
      if (o == *profile_.dentry_parent) return false;
      for (std::size_t i = 0; i < files_.size(); ++i) {
        const std::uint64_t inode = dentries_[i].word(o);
        if (!layout_.is_pointer(inode) || !is_inode_of(files_[i], inode)) return false;
      }
      return true;
    });
  }

  // d_hash {next, pprev}: what pprev points to holds the address of d_hash, bit 0 being a lock.
  void infer_hash() {
    profile_.dentry_hash_pprev = first_offset(word_, *profile_.dentry_parent, word_, [&](auto o) {
      std::size_t hashed = 0;
      for (const Blob& dentry : dentries_) {
        if (dentry.word(o) == 0) continue;
        const auto back = word_at(Va{dentry.word(o)});
        if (!back || (*back & ~std::uint64_t{1}) != dentry.at.value + o - word_) return false;
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
      const auto parent = word_at(mount + mount_parent());
      const auto point = word_at(mount + mount_parent() + word_);
      const auto root = word_at(at + layout.root);
      if (!parent || !point || !root || !layout_.is_pointer(*parent) ||
          !layout_.is_pointer(*root) || !layout_.is_pointer(*point) || !has_chain(Va{*point}) ||
          !has_chain(Va{*root})) {
        return false;
      }
      if (Va{*parent} == mount) return true;
      at = Va{*parent} + layout.vfsmount;
    }
    return false;
  }

  bool has_chain(Va dentry) {
    return steps_to_root(Blob{dentry, {}, word_}, *profile_.dentry_parent, nullptr).has_value();
  }

  // A file lies at or below the root of the mount that it was opened through.
  bool roots_hold_files(const MountLayout& layout) {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      const Va mnt{files_[i].word(*profile_.file_mnt)};
      const auto root = word_at(mnt + layout.root);
      Va at = dentries_[i].at;
      for (std::size_t steps = 0; root && steps < kLongestChain && at != Va{*root}; ++steps) {
        const auto up = word_at(at + *profile_.dentry_parent);
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
  void infer_mounts(std::uint32_t file_mnt) {
    profile_.file_mnt = file_mnt;
    std::set<Va> mounts;
    for (const Blob& file : files_) mounts.insert(Va{file.word(*profile_.file_mnt)});
    for (std::uint32_t vfsmount = 0; vfsmount < kMountBytes; vfsmount += word_) {
      for (std::uint32_t root = 0; root < kMountBytes; root += word_) {
        const bool overlaps = vfsmount == 0 && root < mount_parent() + 2 * word_;
        if (overlaps ||
            !std::ranges::all_of(mounts,
                                 [&](Va at) {
                                   return leads_to_top(at, {vfsmount, root});
                                 }) ||
            !roots_hold_files({vfsmount, root})) {
          continue;
        }
        profile_.mount_parent = mount_parent();
        profile_.mount_mountpoint = mount_parent() + word_;
        profile_.mount_vfsmount = vfsmount;
        profile_.vfsmount_root = root;
        return;
      }
    }
  }

  [[nodiscard]] std::uint32_t mount_parent() const { return 2 * word_; }
  [[nodiscard]] Result<std::uint64_t> word_at(Va at) { return read_word(kernel_, at, layout_); }
  [[nodiscard]] Blob blob(Va at, std::size_t size_bytes) {
    return read_sparse(kernel_, at, size_bytes, layout_);
  }

  VirtualMemory& kernel_;
  KernelLayout layout_;
  std::uint32_t word_;
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
