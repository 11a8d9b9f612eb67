#include "daemon/stub_starter.hpp"

#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

namespace swat::daemon {
namespace {

constexpr int kPortTries = 5;

// The stub's character device is called "gdb" in every QEMU. [gdbstub.c, gdbserver_start]
Result<std::string> stub_filename(gdbproto::Qmp& qmp) {
  const std::string reply = SWAT_TRY(qmp.execute("query-chardev"));
  const auto devices = nlohmann::json::parse(reply, nullptr, false);
  if (!devices.is_array()) return fail(Errc::kProtocol, "query-chardev gives no list");
  for (const auto& device : devices) {
    if (device.is_object() && device.value("label", "") == "gdb") {
      return device.value("filename", "");
    }
  }
  return fail(Errc::kNotFound, "the VM has no gdbstub");
}

std::uint16_t random_port() {
  std::random_device entropy;
  return static_cast<std::uint16_t>(20000 + entropy() % 20000);
}

Result<gdbproto::Endpoint> start_on(gdbproto::Qmp& qmp, const gdbproto::Endpoint& at) {
  const std::string device = at.path.empty() ? "tcp::" + at.port + ",server=on,wait=off"
                                             : "unix:" + at.path + ",server=on,wait=off";
  const std::string answer = SWAT_TRY(qmp.monitor("gdbserver " + device));
  if (answer.starts_with("Waiting for gdb connection")) return at;
  return fail(Errc::kUnsupported, "QEMU cannot start its gdbstub: " + answer);
}

Result<gdbproto::Endpoint> start_stub(gdbproto::Qmp& qmp, const gdbproto::Endpoint& monitor) {
  if (!monitor.path.empty()) {
    // QEMU itself makes the socket, beside its monitor, where it may write.
    const auto folder = monitor.path.substr(0, monitor.path.rfind('/') + 1);
    const std::string path = folder + "swatd-" + std::to_string(getpid()) + ".gdb";
    auto started = start_on(qmp, {{}, {}, path});
    if (started) return started;
  }
  Result<gdbproto::Endpoint> started = fail(Errc::kUnsupported, "no port tried");
  for (int i = 0; i < kPortTries && !started; ++i) {
    const std::string host = monitor.path.empty() ? monitor.host : "localhost";
    started = start_on(qmp, {host, std::to_string(random_port()), {}});
  }
  return started;
}

// Sockets of this host in the connected state: /proc/net/unix "St" 03, /proc/net/tcp "st" 01.
bool unix_taken(const std::string& path) {
  std::ifstream table("/proc/net/unix");
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string num, references, protocol, flags, type, state, inode, name;
    fields >> num >> references >> protocol >> flags >> type >> state >> inode >> name;
    if (name == path && state == "03") return true;
  }
  return false;
}

bool tcp_taken(const char* table_path, unsigned long port) {
  std::ifstream table(table_path);
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string slot, local, remote, state;
    fields >> slot >> local >> remote >> state;
    const auto colon = local.rfind(':');
    if (state != "01" || colon == std::string::npos) continue;
    if (std::strtoul(local.c_str() + colon + 1, nullptr, 16) == port) return true;
  }
  return false;
}

}  // namespace

Result<gdbproto::Endpoint> parse_chardev_filename(std::string_view filename) {
  for (const std::string_view prefix : {"disconnected:", "tcp:", "telnet:"}) {
    if (filename.starts_with(prefix)) filename.remove_prefix(prefix.size());
  }
  filename = filename.substr(0, filename.find(','));
  std::string text(filename);
  for (const std::string_view any : {"0.0.0.0:", "[::]:", "*:"}) {
    if (text.starts_with(any)) text = "localhost:" + text.substr(any.size());
  }
  return gdbproto::Endpoint::parse(text);
}

Result<StubPlace> find_or_start_stub(gdbproto::Qmp& qmp, const gdbproto::Endpoint& monitor) {
  const auto filename = stub_filename(qmp);
  if (!filename && filename.error().code != Errc::kNotFound) {
    return tl::unexpected(filename.error());
  }
  if (!filename) return StubPlace{SWAT_TRY(start_stub(qmp, monitor)), true};
  if (!filename->starts_with("disconnected:")) {
    return fail(Errc::kTimeout, "the VM's gdbstub (" + *filename + ") has another client");
  }
  gdbproto::Endpoint stub = SWAT_TRY(parse_chardev_filename(*filename));
  // The address is seen from QEMU's host, which is the monitor's.
  if (stub.path.empty() && monitor.path.empty()) stub.host = monitor.host;
  return StubPlace{stub, false};
}

bool stub_is_taken(const gdbproto::Endpoint& endpoint) {
  if (!endpoint.path.empty()) return unix_taken(endpoint.path);
  if (endpoint.host != "localhost" && endpoint.host != "::1" && !endpoint.host.starts_with("127.")) {
    return false;
  }
  const unsigned long port = std::strtoul(endpoint.port.c_str(), nullptr, 10);
  return tcp_taken("/proc/net/tcp", port) || tcp_taken("/proc/net/tcp6", port);
}

}  // namespace swat::daemon
