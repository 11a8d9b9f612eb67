#include "daemon/setup_advice.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "daemon/host_sockets.hpp"
#include "daemon/qemu_process.hpp"

namespace swat::daemon {
namespace {

using QemuIs = VmSetup::QemuIs;

constexpr std::string_view kSharedRam =
    "-object memory-backend-memfd,id=ram,size=SIZE,share=on -machine memory-backend=ram";

// One thing that a setup may lack.
struct Row {
  bool (*is_lacking)(const VmSetup&);
  std::string (*lack)(const VmSetup&);
  std::string (*cure)(const VmSetup&);
};

constexpr Row kRows[] = {
    {[](const VmSetup& setup) { return !setup.has_monitor; },
     [](const VmSetup&) {
       return std::string("a QMP monitor, which says for certain what QEMU is doing");
     },
     [](const VmSetup&) {
       return std::string(
           "start QEMU with -qmp unix:PATH,server=on,wait=off, and swatd with --qmp unix:PATH");
     }},
    // /proc/PID/maps and fd take PTRACE_MODE_READ, which Yama does not restrict; fd is its owner's
    // alone besides. [proc(5)]
    {[](const VmSetup& setup) { return setup.ram == "stub" && setup.qemu == QemuIs::kHidden; },
     [](const VmSetup& setup) {
       return fmt::format("the right to look at QEMU's process{}: each read of RAM is a round trip",
                          setup.owner.empty() ? "" : ", which is " + setup.owner + "'s");
     },
     [](const VmSetup& setup) {
       return fmt::format(
           "run swatd as {}, with its group, or with CAP_SYS_PTRACE and "
           "CAP_DAC_READ_SEARCH",
           setup.owner.empty() ? "QEMU's user" : setup.owner);
     }},
    {[](const VmSetup& setup) { return setup.ram == "stub" && setup.qemu == QemuIs::kHere; },
     [](const VmSetup& setup) {
       return "the right to read QEMU's memory, if what listens is QEMU and no tunnel: each read "
              "of "
              "RAM is a round trip" +
              (setup.ptrace_scope == 0
                   ? std::string()
                   : fmt::format(" (kernel.yama.ptrace_scope is {})", setup.ptrace_scope));
     },
     [](const VmSetup& setup) {
       return fmt::format("share the RAM, which takes no such right: start QEMU with {}{}",
                          kSharedRam,
                          setup.ptrace_scope == 3 ? "" : "; or run swatd with CAP_SYS_PTRACE");
     }},
    {[](const VmSetup& setup) { return setup.ram == "stub" && setup.qemu == QemuIs::kElsewhere; },
     [](const VmSetup&) {
       return std::string(
           "QEMU's process on this host (or in this network namespace): each read of RAM is a "
           "round trip");
     },
     [](const VmSetup&) { return std::string("run swatd where QEMU runs"); }},
    {[](const VmSetup& setup) { return setup.ram == "process"; },
     [](const VmSetup&) {
       return std::string("guest RAM in a shared file: each read of RAM is a system call");
     },
     [](const VmSetup&) { return fmt::format("start QEMU with {}", kSharedRam); }},
    {[](const VmSetup& setup) { return !setup.shares_a_folder; },
     [](const VmSetup&) {
       return std::string("a folder that QEMU may write and swatd read: attaching takes longer");
     },
     [](const VmSetup&) {
       return std::string(
           "set TMPDIR, for swatd, to one that both see, and that no profile of AppArmor or "
           "SELinux "
           "keeps from QEMU");
     }},
    {[](const VmSetup& setup) { return setup.is_kvm; },
     [](const VmSetup&) {
       return std::string("TCG, which calls of functions take: under KVM they are not seen");
     },
     [](const VmSetup&) {
       return std::string("start QEMU with -accel tcg, if the guest may be slower");
     }},
    // gdb_vm_state_change() no longer flushes from 10.2 on. [QEMU, commit dae1e0df49d4]
    {[](const VmSetup& setup) {
       return setup.flushes && !setup.is_kvm && setup.version < QemuVersion{10, 2};
     },
     [](const VmSetup&) {
       return std::string("a QEMU that keeps its translated code at a breakpoint");
     },
     [](const VmSetup& setup) {
       const bool may_be_silent = setup.version >= QemuVersion{8, 1} && !setup.has_monitor;
       return fmt::format("take QEMU 10.2 or later{}", may_be_silent ? ", or give --qmp" : "");
     }},
    {[](const VmSetup& setup) { return setup.vcpus >= setup.host_cpus; },
     [](const VmSetup& setup) {
       return fmt::format(
           "a CPU for swatd beside the guest's {} on this host's {}: it sleeps between "
           "stops instead of polling",
           setup.vcpus, setup.host_cpus);
     },
     [](const VmSetup&) { return std::string("give the VM fewer vCPUs, or the host more CPUs"); }},
};

}  // namespace

std::vector<Advice> advice_on(const VmSetup& setup) {
  std::vector<Advice> all;
  for (const Row& row : kRows) {
    if (row.is_lacking(setup)) all.push_back({row.lack(setup), row.cure(setup)});
  }
  return all;
}

std::optional<Advice> advice_on_connecting(const gdbproto::Endpoint& to,
                                           const std::string& option) {
  if (to.path.empty()) {
    return Advice{"an answer from " + to.to_string(),
                  fmt::format("start QEMU, on that host, with {} tcp::{},server=on,wait=off",
                              option, to.port)};
  }
  struct stat status {};
  if (stat(to.path.c_str(), &status) != 0) {
    const auto folder = std::filesystem::path(to.path).parent_path().string();
    if (errno == EACCES) return Advice{"the right to enter " + folder, "run swatd as QEMU's user"};
    return Advice{"the socket " + to.path,
                  fmt::format("start QEMU with {} unix:{},server=on,wait=off", option, to.path)};
  }
  if (access(to.path.c_str(), W_OK) != 0) {
    return Advice{"the right to write " + to.path + ", which is " + owner_of(to) + "'s",
                  "run swatd as " + owner_of(to)};
  }
  if (!S_ISSOCK(status.st_mode)) return Advice{"a socket: " + to.path + " is none", "see --help"};
  const auto sockets = sockets_at(to);
  if (std::ranges::none_of(sockets, [](const HostSocket& socket) {
        return socket.state == HostSocket::State::kListening;
      })) {
    return Advice{"somebody who listens on " + to.path,
                  "start QEMU again: the one before has left it"};
  }
  return {};
}

QemuIs where_qemu_is(const gdbproto::Endpoint& listening) {
  if (find_listener(listening)) return QemuIs::kHere;
  const auto sockets = sockets_at(listening);
  const bool is_seen = std::ranges::any_of(sockets, [](const HostSocket& socket) {
    return socket.state == HostSocket::State::kListening;
  });
  return is_seen ? QemuIs::kHidden : QemuIs::kElsewhere;
}

std::string owner_of(const gdbproto::Endpoint& endpoint) {
  struct stat status {};
  if (endpoint.path.empty() || stat(endpoint.path.c_str(), &status) != 0) return {};
  const passwd* user = getpwuid(status.st_uid);  // NOLINT(concurrency-mt-unsafe): one thread
  return user == nullptr ? "user " + std::to_string(status.st_uid) : user->pw_name;
}

int ptrace_scope() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = 0;
  return file >> scope ? scope : 0;
}

}  // namespace swat::daemon
