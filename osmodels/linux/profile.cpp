#include "osmodels/linux/profile.hpp"

namespace swat::os {
namespace {

using P = LinuxProfile;

// [include/linux/sched.h, mm_types.h, fs.h, dcache.h, fs/mount.h of Linux 5.10, 6.1 and 6.12]
constexpr ProfileField kFields[] = {
    {"task_thread_flags", &P::task_thread_flags, "task_struct", "thread_info.flags", false},
    {"task_stack", &P::task_stack, "task_struct", "stack", false},
    {"task_tasks", &P::task_tasks, "task_struct", "tasks", true},
    {"task_mm", &P::task_mm, "task_struct", "mm", true},
    {"task_pid", &P::task_pid, "task_struct", "pid", true},
    {"task_tgid", &P::task_tgid, "task_struct", "tgid", true},
    {"task_real_parent", &P::task_real_parent, "task_struct", "real_parent", true},
    {"task_group_leader", &P::task_group_leader, "task_struct", "group_leader", false},
    {"task_comm", &P::task_comm, "task_struct", "comm", true},
    {"mm_mmap", &P::mm_mmap, "mm_struct", "mmap", false},
    {"mm_tree_root", &P::mm_tree_root, "mm_struct", "mm_mt.ma_root", false},
    {"mm_pgd", &P::mm_pgd, "mm_struct", "pgd", true},
    {"mm_start_brk", &P::mm_start_brk, "mm_struct", "start_brk", false},
    {"mm_brk", &P::mm_brk, "mm_struct", "brk", false},
    {"mm_start_stack", &P::mm_start_stack, "mm_struct", "start_stack", false},
    {"mm_vdso", &P::mm_vdso, "mm_struct", "context.vdso", false},
    {"vma_start", &P::vma_start, "vm_area_struct", "vm_start", true},
    {"vma_end", &P::vma_end, "vm_area_struct", "vm_end", true},
    {"vma_next", &P::vma_next, "vm_area_struct", "vm_next", false},
    {"vma_mm", &P::vma_mm, "vm_area_struct", "vm_mm", false},
    {"vma_flags", &P::vma_flags, "vm_area_struct", "vm_flags", true},
    {"vma_pgoff", &P::vma_pgoff, "vm_area_struct", "vm_pgoff", true},
    {"vma_file", &P::vma_file, "vm_area_struct", "vm_file", true},
    {"vma_private_data", &P::vma_private_data, "vm_area_struct", "vm_private_data", false},
    {"file_mnt", &P::file_mnt, "file", "f_path.mnt", false},
    {"file_dentry", &P::file_dentry, "file", "f_path.dentry", true},
    {"dentry_hash_pprev", &P::dentry_hash_pprev, "dentry", "d_hash.pprev", false},
    {"dentry_parent", &P::dentry_parent, "dentry", "d_parent", true},
    {"dentry_name", &P::dentry_name, "dentry", "d_name.name", true},
    {"dentry_inode", &P::dentry_inode, "dentry", "d_inode", false},
    {"mount_parent", &P::mount_parent, "mount", "mnt_parent", false},
    {"mount_mountpoint", &P::mount_mountpoint, "mount", "mnt_mountpoint", false},
    {"mount_vfsmount", &P::mount_vfsmount, "mount", "mnt", false},
    {"vfsmount_root", &P::vfsmount_root, "vfsmount", "mnt_root", false},
};

}  // namespace

std::span<const ProfileField> profile_fields() { return kFields; }

Result<> check_complete(const LinuxProfile& profile) {
  // task_struct, the largest, has some 10 KB. Whole structures are read up to their last member, so
  // without a limit a guest chooses how much is allocated for each.
  constexpr std::uint32_t kFurthestMember = 1 << 16;
  for (const ProfileField& field : kFields) {
    const MemberOffset member = profile.*field.member;
    if (field.required && !member) {
      return fail(Errc::kNotFound, profile.source + " does not tell " + std::string(field.name));
    }
    if (member && *member >= kFurthestMember) {
      return fail(Errc::kBadImage, profile.source + " has " + std::string(field.name) +
                                       " further out than any structure is large");
    }
  }
  if (!profile.task_group_leader && !profile.task_list_of_tasks) {
    return fail(Errc::kNotFound, profile.source + " does not tell task_group_leader");
  }
  if (!profile.mm_mmap && !profile.mm_tree_root) {
    return fail(Errc::kNotFound, profile.source + " does not tell how a process's VMAs are kept");
  }
  return {};
}

Result<LinuxProfile> profile_from_btf(const symbols::Btf& btf, const KernelLayout& layout) {
  LinuxProfile profile;
  profile.source = "BTF";
  profile.layout = layout;
  for (const ProfileField& field : kFields) {
    const Result<symbols::Btf::Member> found = btf.member(field.structure, field.path);
    if (found) {
      profile.*field.member = found->offset_bytes;
    } else if (found.error().code != Errc::kNotFound) {
      return tl::unexpected(found.error());
    }
  }
  SWAT_CHECK(check_complete(profile));
  return profile;
}

}  // namespace swat::os
