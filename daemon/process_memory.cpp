#include "daemon/process_memory.hpp"

#include <sys/uio.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

namespace swat::daemon {
namespace {

constexpr std::size_t kMaxFiles = 4096;

}  // namespace

Result<> ProcessMemory::read(Va at, std::span<std::byte> into) {
  const iovec local{into.data(), into.size()};
  // An address of the other process: the kernel follows it, we never do.
  void* theirs = reinterpret_cast<void*>(at.value);  // NOLINT(performance-no-int-to-ptr)
  const iovec remote{theirs, into.size()};
  const ssize_t n = process_vm_readv(process_, &local, 1, &remote, 1, 0);
  if (n == static_cast<ssize_t>(into.size())) return {};
  if (n >= 0) return fail(Errc::kFault, "not mapped", (at + static_cast<std::uint64_t>(n)).value);
  if (errno == EFAULT) return fail(Errc::kFault, "not mapped", at.value);
  if (errno == ESRCH) return fail(Errc::kDisconnected, "the process is gone");
  return fail(Errc::kUnsupported, std::string("process_vm_readv: ") + strerror(errno));
}

// "START-END PERMS OFFSET DEV INODE   PATH", where inode 0 is no file. [proc_pid_maps(5)]
Result<std::vector<MappedFile>> mapped_files(pid_t process) {
  std::ifstream table("/proc/" + std::to_string(process) + "/maps");
  std::vector<MappedFile> files;
  std::string line;
  while (std::getline(table, line) && files.size() < kMaxFiles) {
    std::istringstream fields(line);
    std::string range, permissions, offset, device, inode, path;
    fields >> range >> permissions >> offset >> device >> inode >> std::ws;
    std::getline(fields, path);  // spaces included
    if (inode == "0" || !permissions.starts_with('r')) continue;
    if (offset.find_first_not_of('0') != std::string::npos) continue;
    std::uint64_t start = 0;
    const auto [end, bad] = std::from_chars(range.data(), range.data() + range.size(), start, 16);
    if (bad != std::errc{} || *end != '-') continue;
    files.push_back({Va{start}, path});
  }
  if (files.empty()) return fail(Errc::kUnsupported, "/proc/PID/maps tells nothing");
  return files;
}

}  // namespace swat::daemon
