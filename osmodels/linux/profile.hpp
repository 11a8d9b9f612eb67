// Where one kernel build keeps what the Linux model reads: byte offsets of structure members.
//
// No table of builds: the kernel says it itself (BTF), else it is inferred from invariants of live
// data (infer.hpp). A member that this kernel does not have, or that could not be found, is empty.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "osmodels/linux/kernel_layout.hpp"
#include "symbols/btf.hpp"
#include "symbols/result.hpp"

namespace swat::os {

using MemberOffset = std::optional<std::uint32_t>;

struct LinuxProfile {
  std::string source;  // "BTF", "inference"
  KernelLayout layout;
  // 2.4: task_tasks holds tasks themselves instead of list nodes in them, a task lies at the bottom
  // of its own kernel stack, and thread groups have no leader.
  bool task_list_of_tasks = false;

  // struct task_struct
  MemberOffset task_thread_flags;  // thread_info.flags, in the task since 4.9; before: on its stack
  MemberOffset task_stack;         // lowest address of the kernel stack
  MemberOffset task_tasks;         // list of all thread group leaders
  MemberOffset task_mm;            // null for kernel threads
  MemberOffset task_pid;           // what user space calls the thread id
  MemberOffset task_tgid;          // what user space calls the process id
  MemberOffset task_real_parent;   // a thread of the parent process
  MemberOffset task_group_leader;  // since 2.5
  MemberOffset task_comm;          // 16 bytes, NUL terminated

  // struct mm_struct
  MemberOffset mm_mmap;       // first VMA of the list, until 6.0
  MemberOffset mm_tree_root;  // mm_mt.ma_root, since 6.1
  MemberOffset mm_pgd;        // kernel virtual address of the page table's root
  MemberOffset mm_start_brk;
  MemberOffset mm_brk;
  MemberOffset mm_start_stack;
  MemberOffset mm_vdso;  // context.vdso: user address of the vDSO

  // struct vm_area_struct
  MemberOffset vma_start;
  MemberOffset vma_end;   // exclusive
  MemberOffset vma_next;  // until 6.0
  MemberOffset vma_mm;
  MemberOffset vma_flags;
  MemberOffset vma_pgoff;  // in pages, whatever the file
  MemberOffset vma_file;
  MemberOffset vma_private_data;  // of a special mapping: its vm_special_mapping

  // struct file, struct dentry
  MemberOffset file_mnt;           // f_path.mnt, a struct vfsmount
  MemberOffset file_dentry;        // f_path.dentry
  MemberOffset dentry_hash_pprev;  // d_hash.pprev; null when the file is unlinked
  MemberOffset dentry_parent;
  MemberOffset dentry_name;  // d_name.name
  MemberOffset dentry_inode;

  // struct mount (since 3.3; before that, struct vfsmount is all of it) and its struct vfsmount
  MemberOffset mount_parent;      // another mount; itself at the top
  MemberOffset mount_mountpoint;  // dentry in the parent that this one covers
  MemberOffset mount_vfsmount;    // what file_mnt points to
  MemberOffset vfsmount_root;     // dentry
};

struct ProfileField {
  std::string_view name;
  MemberOffset LinuxProfile::*member;
  std::string_view structure;  // in BTF
  std::string_view path;
  bool required;  // the model cannot do without; the rest degrades
};

// Every field of the profile.
[[nodiscard]] std::span<const ProfileField> profile_fields();

// kNotFound: BTF lacks a member that the model cannot do without.
[[nodiscard]] Result<LinuxProfile> profile_from_btf(const symbols::Btf& btf,
                                                    const KernelLayout& layout);

// The first required field that is missing, so that a model is never built on half a profile; and
// the first, required or not, that no structure is large enough for.
[[nodiscard]] Result<> check_complete(const LinuxProfile& profile);

}  // namespace swat::os
