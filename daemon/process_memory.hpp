// The memory of another process of this host: the same user's, or any for root.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::daemon {

// Read with process_vm_readv(2): nothing is stopped, nothing is changed. kDisconnected: the process
// is gone; kUnsupported: this user may not look into it.
class ProcessMemory final : public VirtualMemory {
 public:
  explicit ProcessMemory(pid_t process) : process_(process) {}
  [[nodiscard]] Result<> read(Va at, std::span<std::byte> into) override;

 private:
  pid_t process_;
};

struct MappedFile {
  Va start;  // of the mapping that has the file's offset 0
  std::string path;
};

// The files that a process has mapped, ascending: a program and its libraries among them. By
// /proc/PID/maps, because /proc/PID/exe is ld.so where the program was started through it.
[[nodiscard]] Result<std::vector<MappedFile>> mapped_files(pid_t process);

}  // namespace swat::daemon
