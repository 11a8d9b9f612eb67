#include "daemon/qemu_process.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace swat::daemon {
namespace {

namespace fs = std::filesystem;

using Inodes = std::set<std::string>;

// /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path. [proc_net(5)]
Inodes unix_listeners(const std::string& path) {
  constexpr unsigned long kAcceptsConnections = 0x10000;  // __SO_ACCEPTCON
  Inodes inodes;
  std::ifstream table("/proc/net/unix");
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string num, references, protocol, flags, type, state, inode, name;
    fields >> num >> references >> protocol >> flags >> type >> state >> inode >> std::ws;
    std::getline(fields, name);  // spaces included
    if (name != path || flags.empty()) continue;
    if ((std::strtoul(flags.c_str(), nullptr, 16) & kAcceptsConnections) != 0) inodes.insert(inode);
  }
  return inodes;
}

// /proc/net/tcp: sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode.
Inodes tcp_listeners(const char* table_path, unsigned port) {
  constexpr std::string_view kListen = "0A";
  Inodes inodes;
  std::ifstream table(table_path);
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >>
        timeout >> inode;
    const auto colon = local.rfind(':');
    if (state != kListen || colon == std::string::npos) continue;
    if (std::strtoul(local.c_str() + colon + 1, nullptr, 16) == port) inodes.insert(inode);
  }
  return inodes;
}

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

bool is_this_host(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

Inodes listeners(const gdbproto::Endpoint& endpoint) {
  if (!endpoint.path.empty()) {
    Inodes inodes = unix_listeners(endpoint.path);
    // QEMU may have been given a relative path, or another spelling of this one.
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(endpoint.path, error);
    if (!error) inodes.merge(unix_listeners(canonical.string()));
    return inodes;
  }
  if (!is_this_host(endpoint.host)) return {};
  const auto port = static_cast<unsigned>(std::strtoul(endpoint.port.c_str(), nullptr, 10));
  Inodes inodes = tcp_listeners("/proc/net/tcp", port);
  inodes.merge(tcp_listeners("/proc/net/tcp6", port));
  return inodes;
}

}  // namespace

Result<pid_t> find_listener(const gdbproto::Endpoint& endpoint) {
  const Inodes inodes = listeners(endpoint);
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
