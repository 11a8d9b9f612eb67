#include "daemon/vm.hpp"

#include <spdlog/spdlog.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "daemon/qemu_log.hpp"
#include "daemon/qemu_process.hpp"
#include "daemon/qemu_version.hpp"
#include "daemon/stub_starter.hpp"

namespace swat::daemon {
namespace {

constexpr std::chrono::milliseconds kConnectTimeout{5000};
constexpr std::chrono::milliseconds kTakenPatience{2000};
// A local QEMU's next stop takes 100 to 500 us; to sleep and be woken, some 50 us of them.
constexpr std::chrono::microseconds kPollFor{500};

std::vector<std::byte> contents_of(const std::string& path) {
  constexpr std::size_t kMaxBytes = 16 << 20;
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes(kMaxBytes);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

os::X86SystemTables tables_of(const gdbproto::X86SystemRegisters& cpu, bool is_64_bit) {
  os::X86SystemTables tables;
  tables.idt_base = cpu.idt_base;
  tables.gdt_base = cpu.gdt_base;
  tables.tr_base = cpu.tr_base;
  if (is_64_bit) {
    tables.lstar = cpu.lstar;
    tables.cstar = cpu.cstar;
  }
  tables.sysenter_eip = cpu.sysenter_eip;
  return tables;
}

// live:false, always: the default would inactivate the disks of a stopped VM (facts section 5).
Result<std::vector<os::X86SystemTables>> tables_from_device_state(gdbproto::Qmp& qmp,
                                                                  const std::string& file,
                                                                  bool is_64_bit) {
  const nlohmann::json arguments = {{"filename", file}, {"live", false}};
  SWAT_CHECK(qmp.execute("xen-save-devices-state", arguments.dump()));
  const auto bytes = contents_of(file);
  if (bytes.empty()) return fail(Errc::kUnsupported, "QEMU does not share this host's files");
  std::vector<os::X86SystemTables> tables;
  for (const auto& cpu : SWAT_TRY(gdbproto::parse_x86_device_state(bytes, is_64_bit))) {
    tables.push_back(tables_of(cpu, is_64_bit));
  }
  return tables;
}

Result<std::vector<os::X86SystemTables>> tables_from_monitor(Vm& vm) {
  const std::string text = SWAT_TRY(vm.monitor("info registers -a"));
  std::vector<os::X86SystemTables> tables;
  constexpr std::string_view kMark = "CPU#";
  for (auto at = text.find(kMark); at != std::string::npos;) {
    const auto next = text.find(kMark, at + kMark.size());
    tables.push_back(SWAT_TRY(parse_info_registers(std::string_view(text).substr(at, next - at))));
    at = next;
  }
  if (tables.empty()) tables.push_back(SWAT_TRY(parse_info_registers(text)));
  return tables;
}

// Connecting to what was thought to be a monitor has stopped the guest, if it is its gdbstub: false
// when it is none. `saw_stop`: it had spoken unasked.
bool let_go_of_stub(gdbproto::Link& link, const RunStateBefore& before, bool saw_stop) {
  gdbproto::Session session(link);
  if (!session.handshake()) return false;
  const auto running = before.was_running(session, saw_stop);
  return session.detach(running && !*running).has_value();
}

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find_first_of("\r\n")));
}

std::string first_word(std::string_view text) {
  return std::string(text.substr(0, text.find_first_of(" \t\r\n(")));
}

}  // namespace

Result<std::unique_ptr<Vm>> Vm::attach(gdbproto::IoLoop& loop, Guardian& guardian,
                                       const AttachOptions& options) {
  std::unique_ptr<Vm> vm(new Vm(loop, guardian));
  vm->qmp_endpoint_ = options.qmp;
  if (options.qmp) SWAT_CHECK(vm->connect_qmp());
  const gdbproto::Endpoint stub =
      options.gdb ? *options.gdb : SWAT_TRY(vm->stub_through_qmp(*options.qmp));
  SWAT_CHECK(vm->connect_stub(stub));
  // From here on the guest is stopped, and the destructor lets it go.
  SWAT_CHECK(vm->learn_run_state());
  SWAT_CHECK(vm->learn_qemu(options));
  SWAT_CHECK(vm->learn_system_registers());
  return vm;
}

Vm::~Vm() {
  if (const auto released = release(); !released) {
    spdlog::error("leaving the VM to the guardian: {}", released.error().what);
  }
}

Result<> Vm::connect_qmp() {
  if (qmp_ != nullptr) return {};
  const auto before = RunStateBefore::seen_at(*qmp_endpoint_);
  qmp_link_ = SWAT_TRY(gdbproto::connect(loop_, *qmp_endpoint_, kConnectTimeout));
  auto qmp = std::make_unique<gdbproto::Qmp>(*qmp_link_);
  if (auto shaken = qmp->handshake(); !shaken) {
    const bool greeted = shaken.error().code == Errc::kProtocol;
    if (let_go_of_stub(*qmp_link_, before, greeted)) {
      return fail(Errc::kProtocol, qmp_endpoint_->to_string() + " is a gdbstub, not a QMP monitor");
    }
    return shaken;
  }
  qmp_ = std::move(qmp);
  return {};
}

Result<> Vm::can_run_silently() const {
  if (is_kvm_) return fail(Errc::kUnsupported, "KVM has no translations to throw away");
  constexpr QemuVersion kFirst{8, 1};
  constexpr QemuVersion kLast{10, 1};
  const QemuVersion version = QemuVersion::parse(qemu_version_);
  if (version < kFirst) return fail(Errc::kUnsupported, "QEMU before 8.1 reports every stop");
  if (version > kLast) return fail(Errc::kUnsupported, "QEMU keeps its translations anyway");
  if (!qmp_endpoint_) return fail(Errc::kUnsupported, "without --qmp nobody tells of silent stops");
  return {};
}

Result<> Vm::run_silently() {
  SWAT_CHECK(can_run_silently());
  SWAT_CHECK(connect_qmp());
  return session_->run_silently(*qmp_);
}

void Vm::close_monitor() {
  if (session_ != nullptr) {
    session_->run_reported();
    if (session_->runs_silently()) return;  // it runs: nobody else would tell of its stop
  }
  qmp_.reset();
  qmp_link_.reset();
}

Result<gdbproto::Endpoint> Vm::stub_through_qmp(const gdbproto::Endpoint& monitor) {
  SWAT_CHECK(wait_until_free({}));
  const StubPlace place = SWAT_TRY(find_or_start_stub(*qmp_, monitor));
  if (place.started_by_us) duty_.stop_stub_by = monitor;
  return place.endpoint;
}

// The guardian of a swatd that was killed a moment ago is done soon.
Result<> Vm::wait_until_free(const std::optional<gdbproto::Endpoint>& stub) {
  const auto patience = std::chrono::steady_clock::now() + kTakenPatience;
  for (;;) {
    const bool taken =
        (stub && stub_is_taken(*stub)) || (qmp_ != nullptr && SWAT_TRY(stub_has_client(*qmp_)));
    if (!taken) return {};
    if (std::chrono::steady_clock::now() > patience) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const std::string which = stub ? "the gdbstub at " + stub->to_string() : "the VM's gdbstub";
  return fail(Errc::kTimeout, which + " has another client");
}

Result<> Vm::connect_stub(const gdbproto::Endpoint& endpoint) {
  SWAT_CHECK(wait_until_free(endpoint));
  before_ = qmp_ != nullptr ? RunStateBefore::told(SWAT_TRY(qmp_->run_state()))
                            : RunStateBefore::seen_at(endpoint);
  duty_.stub = endpoint;
  duty_.leave_paused = before_.known_paused();
  SWAT_CHECK(guardian_.arm(duty_));
  auto shaken = shake_hands(endpoint);
  attached_ = shaken.has_value();
  if (attached_) {
    // A CPU for each vCPU, and one for us.
    const auto vcpus = session_->threads().size();
    if (std::thread::hardware_concurrency() > vcpus) stub_link_->poll_for(kPollFor);
    return {};
  }
  // A stub that has said what it is has stopped its guest: the guardian lets it go.
  if (session_ != nullptr && session_->is_stub()) return shaken;
  // Nothing of ours is in whatever this is; the guardian must not touch it either.
  SWAT_CHECK(guardian_.disarm());
  if (duty_.stop_stub_by) SWAT_CHECK(qmp_->monitor("gdbserver none"));
  return shaken;
}

// From here on a signal ends no exchange half-way: whoever loops asks stop_requested().
Result<> Vm::shake_hands(const gdbproto::Endpoint& endpoint) {
  loop_.acknowledge_stop();
  stub_link_ = SWAT_TRY(gdbproto::connect(loop_, endpoint, kConnectTimeout));
  session_ = std::make_unique<gdbproto::Session>(*stub_link_);
  return session_->handshake();
}

Result<> Vm::learn_run_state() {
  qemu_version_ = first_word(SWAT_TRY(monitor("info version")));
  was_running_ = SWAT_TRY(before_.was_running(*session_, session_->saw_connect_stop()));
  duty_.leave_paused = !was_running_;
  return guardian_.arm(duty_);
}

Result<> Vm::learn_qemu(const AttachOptions& options) {
  is_kvm_ = SWAT_TRY(monitor("info kvm")).find("enabled") != std::string::npos;
  RamSources sources;
  sources.blocks =
      SWAT_TRY(read_ram_layout([this](std::string_view command) { return monitor(command); }));
  sources.stub = session_.get();
  if (auto pid = find_listener(duty_.stub)) sources.qemu = qemu_pid_ = *pid;
  ram_ = SWAT_TRY(choose_ram(sources, options.ram));
  guest_.emplace(SWAT_TRY(StoppedGuest::over(*session_, *ram_.ram)));
  return {};
}

Result<> Vm::learn_system_registers() {
  const bool is_64_bit = guest_->architecture() == os::Architecture::kX86_64;
  if (!is_64_bit && guest_->architecture() != os::Architecture::kI386) return {};
  if (qmp_ != nullptr) {
    SWAT_CHECK(make_folder());
    const std::string file = SWAT_TRY(folder_->make_file("devices"));
    if (auto tables = tables_from_device_state(*qmp_, file, is_64_bit)) {
      tables_source_ = "device state (xen-save-devices-state)";
      guest_->set_x86_tables(*std::move(tables));
      return {};
    } else {
      spdlog::debug("no device state: {}", tables.error().what);
    }
  }
  guest_->set_x86_tables(SWAT_TRY(tables_from_monitor(*this)));
  tables_source_ = "info registers";
  return {};
}

Result<> Vm::wait_until_resumed(std::chrono::milliseconds timeout) {
  if (!qmp_endpoint_) {
    const auto stop = session_->wait_stop(timeout);
    return stop ? Result<>{} : tl::unexpected(stop.error());
  }
  SWAT_CHECK(connect_qmp());
  const auto event = qmp_->next_event(timeout);
  if (!event && event.error().code != Errc::kTimeout) return tl::unexpected(event.error());
  const std::string state = SWAT_TRY(qmp_->run_state());
  if (state == "paused") return fail(Errc::kTimeout, "still paused");
  SWAT_CHECK(qmp_->execute("stop"));
  if (!session_->runs_silently()) close_monitor();
  return {};
}

Result<> Vm::run_for(std::chrono::milliseconds duration) {
  SWAT_CHECK(session_->resume());
  std::this_thread::sleep_for(duration);
  SWAT_CHECK(session_->interrupt());
  const auto stop = SWAT_TRY(session_->wait_stop(gdbproto::Session::kReplyTimeout));
  guest_->forget();
  return stop.exited ? fail(Errc::kDisconnected, "QEMU has exited") : Result<>{};
}

Result<std::string> Vm::monitor(std::string_view command) {
  return qmp_ != nullptr ? qmp_->monitor(command) : session_->monitor(command);
}

// The guardian knows of it before it is there.
Result<> Vm::make_folder() {
  if (folder_) return {};
  folder_.emplace();
  duty_.folder = folder_->path();
  SWAT_CHECK(guardian_.arm(duty_));
  return folder_->make();
}

Result<std::string> Vm::prepare_log() {
  if (is_kvm_) return fail(Errc::kUnsupported, "KVM has no execution log");
  if (!qemu_pid_) return fail(Errc::kUnsupported, "QEMU's log can only be read on QEMU's own host");
  log_before_ = SWAT_TRY(read_qemu_log(*qemu_pid_, qemu_version_));
  SWAT_CHECK(make_folder());
  return folder_->make_fifo("log");
}

Result<> Vm::start_log(const std::string& file, const std::string& items) {
  duty_.restore_log = log_before_.restore();
  SWAT_CHECK(guardian_.arm(duty_));
  for (const std::string& command : {"logfile " + monitor_quoted(file), "log " + items}) {
    const std::string answer = SWAT_TRY(monitor(command));
    if (answer.empty()) continue;
    SWAT_CHECK(stop_log());
    return fail(Errc::kUnsupported, "QEMU cannot log: " + first_line(answer));
  }
  return {};
}

Result<> Vm::stop_log() {
  for (const std::string& command : std::exchange(duty_.restore_log, {})) {
    const std::string answer = SWAT_TRY(monitor(command));
    if (!answer.empty()) spdlog::warn("{}: {}", command, first_line(answer));
  }
  return guardian_.arm(duty_);
}

// An end half-way through tracing: nobody has stopped the guest yet.
Result<> Vm::stop_log_of_running_guest() {
  if (duty_.restore_log.empty()) return {};
  if (session_->running()) {
    SWAT_CHECK(session_->interrupt());
    SWAT_CHECK(session_->wait_stop(gdbproto::Session::kReplyTimeout));
  }
  return stop_log();
}

Result<> Vm::release() {
  if (!std::exchange(attached_, false)) return {};
  loop_.acknowledge_stop();
  SWAT_CHECK(stop_log_of_running_guest());
  // An armed guardian does what fails here.
  SWAT_CHECK(session_->detach(!was_running_));
  stub_link_.reset();
  if (duty_.stop_stub_by) {
    SWAT_CHECK(connect_qmp());
    SWAT_CHECK(qmp_->monitor("gdbserver none"));
  }
  folder_.reset();
  return guardian_.disarm();
}

}  // namespace swat::daemon
