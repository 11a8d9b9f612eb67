#include "daemon/host_sockets.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

namespace swat::daemon {
namespace {

using State = HostSocket::State;

// /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path. [proc_net(5)]
void add_unix(const std::string& path, std::vector<HostSocket>& sockets) {
  constexpr unsigned long kAcceptsConnections = 0x10000;  // __SO_ACCEPTCON
  constexpr std::string_view kConnected = "03";           // SS_CONNECTED
  std::ifstream table("/proc/net/unix");
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string num, references, protocol, flags, type, state, inode, name;
    fields >> num >> references >> protocol >> flags >> type >> state >> inode >> std::ws;
    std::getline(fields, name);  // spaces included
    if (name != path) continue;
    const bool listens = (std::strtoul(flags.c_str(), nullptr, 16) & kAcceptsConnections) != 0;
    sockets.push_back({inode, listens               ? State::kListening
                              : state == kConnected ? State::kConnected
                                                    : State::kOther});
  }
}

// /proc/net/tcp: sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode.
void add_tcp(const char* table_path, unsigned long port, std::vector<HostSocket>& sockets) {
  constexpr std::string_view kEstablished = "01";
  constexpr std::string_view kListen = "0A";
  std::ifstream table(table_path);
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >>
        timeout >> inode;
    const auto colon = local.rfind(':');
    if (colon == std::string::npos) continue;
    if (std::strtoul(local.c_str() + colon + 1, nullptr, 16) != port) continue;
    sockets.push_back({inode, state == kListen        ? State::kListening
                              : state == kEstablished ? State::kConnected
                                                      : State::kOther});
  }
}

bool is_this_host(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace

std::vector<HostSocket> sockets_at(const gdbproto::Endpoint& endpoint) {
  std::vector<HostSocket> sockets;
  if (!endpoint.path.empty()) {
    add_unix(endpoint.path, sockets);
    // QEMU may have been given another spelling of the path.
    std::error_code error;
    const auto canonical = std::filesystem::weakly_canonical(endpoint.path, error).string();
    if (!error && canonical != endpoint.path) add_unix(canonical, sockets);
  } else if (is_this_host(endpoint.host)) {
    const unsigned long port = std::strtoul(endpoint.port.c_str(), nullptr, 10);
    add_tcp("/proc/net/tcp", port, sockets);
    add_tcp("/proc/net/tcp6", port, sockets);
  }
  return sockets;
}

}  // namespace swat::daemon
