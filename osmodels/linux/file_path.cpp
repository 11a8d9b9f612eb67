#include "osmodels/linux/file_path.hpp"

namespace swat::os {
namespace {

constexpr std::size_t kMostSteps = 512;     // components and mounts together
constexpr std::size_t kLongestName = 256;   // NAME_MAX and its NUL
constexpr std::size_t kLongestPath = 4096;  // PATH_MAX

class PathWalk {
 public:
  PathWalk(VirtualMemory& kernel, const LinuxProfile& profile)
      : kernel_(kernel),
        profile_(profile),
        has_mounts_(profile.file_mnt && profile.mount_parent && profile.mount_mountpoint &&
                    profile.mount_vfsmount && profile.vfsmount_root) {}

  Result<std::string> path(Va file) {
    Va dentry = SWAT_TRY(pointer(file + *profile_.file_dentry));
    Va mnt = has_mounts_ ? SWAT_TRY(pointer(file + *profile_.file_mnt)) : Va{};
    if (has_mounts_ && SWAT_TRY(is_pseudo(dentry, mnt))) return pseudo_name(dentry);
    const bool deleted = SWAT_TRY(is_unlinked(dentry));
    std::string path;
    for (std::size_t steps = 0; steps < kMostSteps && path.size() < kLongestPath; ++steps) {
      if (has_mounts_ && dentry == SWAT_TRY(pointer(mnt + *profile_.vfsmount_root))) {
        const Va mount = mnt - *profile_.mount_vfsmount;
        const Va parent = SWAT_TRY(pointer(mount + *profile_.mount_parent));
        if (parent == mount) return finish(std::move(path), deleted);
        dentry = SWAT_TRY(pointer(mount + *profile_.mount_mountpoint));
        mnt = parent + *profile_.mount_vfsmount;
        continue;
      }
      const Va parent = SWAT_TRY(pointer(dentry + *profile_.dentry_parent));
      if (parent == dentry) return finish(std::move(path), deleted);
      path.insert(0, "/" + SWAT_TRY(name_of(dentry)));
      dentry = parent;
    }
    return fail(Errc::kBadImage, "path without an end", file.value);
  }

 private:
  static std::string finish(std::string path, bool deleted) {
    if (path.empty()) path = "/";
    return deleted ? path + " (deleted)" : path;
  }

  Result<Va> pointer(Va at) {
    const Va value{SWAT_TRY(read_word(kernel_, at, profile_.layout))};
    if (!profile_.layout.is_pointer(value.value)) {
      return fail(Errc::kBadImage, "no pointer of the kernel", at.value);
    }
    return value;
  }

  Result<std::string> name_of(Va dentry) {
    return read_c_string(kernel_, SWAT_TRY(pointer_to_text(dentry)), kLongestName);
  }

  Result<Va> pointer_to_text(Va dentry) {  // kmalloc'ed or inline: any alignment
    return Va{SWAT_TRY(read_word(kernel_, dentry + *profile_.dentry_name, profile_.layout))};
  }

  // Its own parent, but not the root of its mount: a memfd, shared anonymous memory, anon_inode.
  Result<bool> is_pseudo(Va dentry, Va mnt) {
    const Va parent = SWAT_TRY(pointer(dentry + *profile_.dentry_parent));
    return parent == dentry && SWAT_TRY(pointer(mnt + *profile_.vfsmount_root)) != dentry;
  }

  // [simple_dname in fs/d_path.c; anon_inodefs_dname in fs/anon_inodes.c]
  Result<std::string> pseudo_name(Va dentry) {
    const std::string name = SWAT_TRY(name_of(dentry));
    if (name.starts_with('[')) return "anon_inode:" + name;
    return "/" + name + " (deleted)";
  }

  Result<bool> is_unlinked(Va dentry) {
    if (!profile_.dentry_hash_pprev) return false;
    const Va parent = SWAT_TRY(pointer(dentry + *profile_.dentry_parent));
    if (parent == dentry) return false;
    const Va hash = dentry + *profile_.dentry_hash_pprev;
    const std::uint64_t back = SWAT_TRY(read_word(kernel_, hash, profile_.layout));
    return back == 0 || back + profile_.layout.word_bytes == hash.value;  // 2.4: an empty list
  }

  VirtualMemory& kernel_;
  const LinuxProfile& profile_;
  bool has_mounts_;
};

}  // namespace

Result<FileName> read_file_name(VirtualMemory& kernel, const LinuxProfile& profile, Va file) {
  FileName name;
  name.path = SWAT_TRY(PathWalk(kernel, profile).path(file));
  if (profile.dentry_inode) {
    const Va dentry{SWAT_TRY(read_word(kernel, file + *profile.file_dentry, profile.layout))};
    name.inode = SWAT_TRY(read_word(kernel, dentry + *profile.dentry_inode, profile.layout));
  }
  return name;
}

}  // namespace swat::os
