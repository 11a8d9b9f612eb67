#include "daemon/host_sockets.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
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

// As /proc/net/tcp and tcp6 print them: each 32-bit word of the address as the host's own number.
std::string printed(std::span<const unsigned char> address) {
  std::string text;
  for (std::size_t at = 0; at + 4 <= address.size(); at += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, address.data() + at, sizeof(word));
    std::array<char, 9> digits{};
    std::snprintf(digits.data(), digits.size(), "%08X", word);
    text += digits.data();
  }
  return text;
}

// The addresses of those sockets that a client of `host`, which is this one, can mean.
std::set<std::string> local_addresses(const std::string& host) {
  const bool any = host == "localhost";
  std::set<std::string> addresses;
  std::array<unsigned char, 16> v6{};
  addresses.insert(printed(v6));  // `::` takes clients of IPv4 too
  if (any || inet_pton(AF_INET6, host.c_str(), v6.data()) == 1) {
    if (any) v6.back() = 1;
    addresses.insert(printed(v6));
  }
  std::array<unsigned char, 4> v4{};
  if (inet_pton(AF_INET, any ? "127.0.0.1" : host.c_str(), v4.data()) == 1) {
    std::array<unsigned char, 16> mapped{};  // ::ffff:127.0.0.1
    mapped[10] = mapped[11] = 0xff;
    std::ranges::copy(v4, mapped.begin() + 12);
    addresses.insert({printed(v4), printed(mapped), printed(std::array<unsigned char, 4>{})});
  }
  return addresses;
}

// /proc/net/tcp: sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode.
void add_tcp(const char* table_path, const std::set<std::string>& addresses, unsigned long port,
             std::vector<HostSocket>& sockets) {
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
    if (colon == std::string::npos || !addresses.contains(local.substr(0, colon))) continue;
    if (std::strtoul(local.c_str() + colon + 1, nullptr, 16) != port) continue;
    sockets.push_back({inode, state == kListen        ? State::kListening
                              : state == kEstablished ? State::kConnected
                                                      : State::kOther});
  }
}

}  // namespace

bool is_this_host(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

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
    const auto addresses = local_addresses(endpoint.host);
    add_tcp("/proc/net/tcp", addresses, port, sockets);
    add_tcp("/proc/net/tcp6", addresses, port, sockets);
  }
  return sockets;
}

}  // namespace swat::daemon
