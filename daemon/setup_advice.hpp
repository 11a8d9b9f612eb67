// What a setup lacks, and how to get it; for `swatd doctor`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/qemu_version.hpp"
#include "gdbproto/socket_link.hpp"

namespace swat::daemon {

struct VmSetup {
  // Where QEMU runs: kHidden is this host, and a process that this user may not look at.
  enum class QemuIs { kHere, kHidden, kElsewhere };

  QemuIs qemu = QemuIs::kHere;
  std::string owner;            // of QEMU's socket; "" when it has none
  std::string ram = "file";     // the RamBackend that is used, unless the user has said which: ""
  int ptrace_scope = 0;         // Yama's, see ptrace_scope()
  bool has_monitor = true;      // QMP
  bool shares_a_folder = true;  // QEMU could write a file that swatd could read, or nobody asked
  bool is_kvm = false;
  QemuVersion version;
  bool flushes = false;  // an entry has a breakpoint, each hit of which QEMU reports
  unsigned vcpus = 1;
  unsigned host_cpus = 2;
};

struct Advice {
  std::string lack;  // "a QMP monitor, which ..."
  std::string cure;  // "start QEMU with ..."
};

[[nodiscard]] std::vector<Advice> advice_on(const VmSetup& setup);

// Where no connection could be made: what stands in the way of one to this socket, as far as this
// host's files tell. `option` is QEMU's for it: "-gdb". None: nothing does.
[[nodiscard]] std::optional<Advice> advice_on_connecting(const gdbproto::Endpoint& to,
                                                         const std::string& option);

[[nodiscard]] VmSetup::QemuIs where_qemu_is(const gdbproto::Endpoint& listening);
// The user that a unix socket belongs to, by name, else by number; "" for none.
[[nodiscard]] std::string owner_of(const gdbproto::Endpoint& endpoint);
// Yama's rule for reading another process's memory: 0, of one's own user's; 1 and 2, with
// CAP_SYS_PTRACE; 3, not at all. 0 where the kernel has no Yama.
// [Documentation/admin-guide/LSM/Yama.rst; mm/process_vm_access.c, PTRACE_MODE_ATTACH_REALCREDS]
[[nodiscard]] int ptrace_scope();

}  // namespace swat::daemon
