#include "daemon/stub_starter.hpp"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "daemon/host_sockets.hpp"

namespace swat::daemon {
namespace {

constexpr int kPortTries = 5;

// The stub's character device is called "gdb" in every QEMU. [gdbstub.c, gdbserver_start]
Result<std::string> stub_filename(gdbproto::Qmp& qmp) {
  const std::string reply = SWAT_TRY(qmp.execute("query-chardev"));
  const auto devices = nlohmann::json::parse(reply, nullptr, false);
  if (!devices.is_array()) return fail(Errc::kProtocol, "query-chardev gives no list");
  for (const auto& device : devices) {
    if (!device.is_object() || !device.contains("label") || device["label"] != "gdb") continue;
    const auto filename = device.find("filename");
    if (filename == device.end() || !filename->is_string()) {
      return fail(Errc::kProtocol, "query-chardev gives the stub no filename");
    }
    return filename->get<std::string>();
  }
  return fail(Errc::kNotFound, "the VM has no gdbstub");
}

// "unix:/run/vm.gdb,server=on" has a client, "disconnected:unix:/run/vm.gdb,server=on" has none.
bool has_client(std::string_view filename) { return !filename.starts_with("disconnected:"); }

std::uint16_t random_port() {
  std::random_device entropy;
  return static_cast<std::uint16_t>(20000 + entropy() % 20000);
}

Result<gdbproto::Endpoint> start_on(gdbproto::Qmp& qmp, const gdbproto::Endpoint& at) {
  // A stub asks for no password: only a remote monitor's is opened to other hosts.
  const std::string address = is_this_host(at.host) ? "127.0.0.1:" : ":";
  const std::string device = at.path.empty() ? "tcp:" + address + at.port : "unix:" + at.path;
  const std::string answer = SWAT_TRY(qmp.monitor("gdbserver " + device + ",server=on,wait=off"));
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
    const bool is_remote = monitor.path.empty() && !is_this_host(monitor.host);
    const std::string host = is_remote ? monitor.host : "127.0.0.1";
    started = start_on(qmp, {host, std::to_string(random_port()), {}});
  }
  return started;
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
  if (has_client(*filename)) {
    return fail(Errc::kTimeout, "the VM's gdbstub (" + *filename + ") has another client");
  }
  gdbproto::Endpoint stub = SWAT_TRY(parse_chardev_filename(*filename));
  // The address is seen from QEMU's host, which is the monitor's.
  if (stub.path.empty() && monitor.path.empty()) stub.host = monitor.host;
  return StubPlace{stub, false};
}

Result<bool> stub_has_client(gdbproto::Qmp& qmp) {
  const auto filename = stub_filename(qmp);
  if (filename) return has_client(*filename);
  if (filename.error().code == Errc::kNotFound) return false;
  return tl::unexpected(filename.error());
}

bool stub_is_taken(const gdbproto::Endpoint& endpoint) {
  const auto sockets = sockets_at(endpoint);
  return std::any_of(sockets.begin(), sockets.end(), [](const HostSocket& socket) {
    return socket.state == HostSocket::State::kConnected;
  });
}

}  // namespace swat::daemon
