// Names of open files: dentries joined upwards, across mounts, as /proc/PID/maps prints them.
#pragma once

#include <string>

#include "osmodels/linux/profile.hpp"
#include "symbols/memory.hpp"

namespace swat::os {

struct FileName {
  std::string path;         // " (deleted)" at its end when it has no name any more
  std::uint64_t inode = 0;  // address of the struct inode; 0 when the profile does not know
};

// `file` is a struct file. The path is seen from the top of its mount tree: a process in a chroot
// or a container sees less of it. [fs/d_path.c of Linux]
[[nodiscard]] Result<FileName> read_file_name(VirtualMemory& kernel, const LinuxProfile& profile,
                                              Va file);

}  // namespace swat::os
