#include "daemon/qemu_process.hpp"

#include <charconv>
#include <filesystem>
#include <set>
#include <string>

#include "daemon/host_sockets.hpp"

namespace swat::daemon {
namespace {

namespace fs = std::filesystem;

using Inodes = std::set<std::string>;

bool holds_one_of(const fs::path& process, const Inodes& inodes) {
  std::error_code error;
  for (const auto& fd : fs::directory_iterator(process / "fd", error)) {
    const std::string target = fs::read_symlink(fd.path(), error).string();
    constexpr std::string_view kPrefix = "socket:[";
    if (!target.starts_with(kPrefix)) continue;
    if (inodes.contains(target.substr(kPrefix.size(), target.size() - kPrefix.size() - 1))) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<pid_t> find_listener(const gdbproto::Endpoint& endpoint) {
  Inodes inodes;
  for (const HostSocket& socket : sockets_at(endpoint)) {
    if (socket.state == HostSocket::State::kListening) inodes.insert(socket.inode);
  }
  if (inodes.empty()) return fail(Errc::kNotFound, "nobody on this host listens there");
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc{} || end != name.data() + name.size()) continue;
    if (holds_one_of(entry.path(), inodes)) return pid;
  }
  return fail(Errc::kNotFound, "the listener belongs to a process that this user may not look at");
}

}  // namespace swat::daemon
