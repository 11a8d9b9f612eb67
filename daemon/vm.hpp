// An attached VM: the stub, the monitor, guest RAM, and the promise to leave it as it was found.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/guardian.hpp"
#include "daemon/hand_over_folder.hpp"
#include "daemon/qemu_log.hpp"
#include "daemon/ram_backend.hpp"
#include "daemon/run_state.hpp"
#include "daemon/stopped_guest.hpp"
#include "gdbproto/qmp.hpp"
#include "gdbproto/session.hpp"
#include "gdbproto/socket_link.hpp"

namespace swat::daemon {

struct AttachOptions {
  std::optional<gdbproto::Endpoint> gdb;  // absent: the stub is found, or started, through QMP
  std::optional<gdbproto::Endpoint> qmp;
  std::string ram;  // a RamBackendKind's name; "" lets it choose
};

class Vm {
 public:
  // Stops the guest. When this fails the VM is as it was before. `loop` and `guardian` outlive it.
  [[nodiscard]] static Result<std::unique_ptr<Vm>> attach(gdbproto::IoLoop& loop,
                                                          Guardian& guardian,
                                                          const AttachOptions& options);
  ~Vm();  // releases, if release() was not called
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  // Removes every trap; the guest runs on, or stays paused if that is how it was found.
  [[nodiscard]] Result<> release();

  [[nodiscard]] gdbproto::Session& session() { return *session_; }
  [[nodiscard]] StoppedGuest& guest() { return *guest_; }
  [[nodiscard]] const RamBackend& ram() const { return *ram_.ram; }
  [[nodiscard]] const std::string& ram_choice() const { return ram_.why; }

  [[nodiscard]] bool was_running() const { return was_running_; }
  [[nodiscard]] const std::string& qemu_version() const { return qemu_version_; }
  [[nodiscard]] bool is_kvm() const { return is_kvm_; }
  [[nodiscard]] const std::string& tables_source() const { return tables_source_; }
  [[nodiscard]] bool started_stub() const { return duty_.stop_stub_by.has_value(); }

  // Hangs up on QMP until it is needed again. While a monitor is connected QEMU sends it two events
  // for each of our stops, and keeps without bound what is not read.
  void close_monitor();

  // Whether breakpoints can stop this QEMU without having it throw its translated code away
  // (gdbproto/silent_stops.hpp); kUnsupported: why not.
  [[nodiscard]] Result<> can_run_silently() const;
  // From here on they do, and the monitor is held, until close_monitor(). The guest is stopped.
  [[nodiscard]] Result<> run_silently();

  // After someone else has paused the VM: kTimeout while it stays so. When it runs again it is
  // stopped once more, so that its next stop is reported to us (QEMU >= 8.1 reports none of a run
  // that the stub did not start). Without QMP nobody can tell: kTimeout.
  [[nodiscard]] Result<> wait_until_resumed(std::chrono::milliseconds timeout);

  // Lets a guest that was running run for that long, with no trap set, and stops it again.
  [[nodiscard]] Result<> run_for(std::chrono::milliseconds duration);

  // A FIFO for QEMU to log into; it goes away with swatd. kUnsupported says in one line why QEMU
  // cannot log for us, or could not be brought back to how it logs now.
  [[nodiscard]] Result<std::string> prepare_log();
  // Has QEMU log `items` into that FIFO, which somebody has open for reading. The guest is stopped.
  [[nodiscard]] Result<> start_log(const std::string& fifo, const std::string& items);
  // QEMU logs as before. release() does it too, and so does the guardian.
  [[nodiscard]] Result<> stop_log();

  // HMP, through QMP where there is one. The guest is stopped.
  [[nodiscard]] Result<std::string> monitor(std::string_view command);

 private:
  Vm(gdbproto::IoLoop& loop, Guardian& guardian) : loop_(loop), guardian_(guardian) {}

  [[nodiscard]] Result<> connect_qmp();
  [[nodiscard]] Result<gdbproto::Endpoint> stub_through_qmp(const gdbproto::Endpoint& monitor);
  [[nodiscard]] Result<> wait_until_free(const std::optional<gdbproto::Endpoint>& stub);
  [[nodiscard]] Result<> connect_stub(const gdbproto::Endpoint& endpoint);
  [[nodiscard]] Result<> shake_hands(const gdbproto::Endpoint& endpoint);
  [[nodiscard]] Result<> learn_run_state();
  [[nodiscard]] Result<> learn_qemu(const AttachOptions& options);
  [[nodiscard]] Result<> learn_system_registers();
  [[nodiscard]] Result<> make_folder();
  [[nodiscard]] Result<> stop_log_of_running_guest();

  gdbproto::IoLoop& loop_;
  Guardian& guardian_;
  GuardianDuty duty_;
  std::optional<gdbproto::Endpoint> qmp_endpoint_;
  std::unique_ptr<gdbproto::Link> qmp_link_;
  std::unique_ptr<gdbproto::Qmp> qmp_;
  std::unique_ptr<gdbproto::Link> stub_link_;
  std::unique_ptr<gdbproto::Session> session_;
  ChosenRam ram_;
  std::optional<StoppedGuest> guest_;
  RunStateBefore before_;
  std::optional<HandOverFolder> folder_;
  QemuLog log_before_;
  std::optional<pid_t> qemu_pid_;  // where it runs on this host
  std::string qemu_version_;
  std::string tables_source_;
  bool was_running_ = true;
  bool is_kvm_ = false;
  bool attached_ = false;
};

}  // namespace swat::daemon
