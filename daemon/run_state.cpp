#include "daemon/run_state.hpp"

#include <spdlog/spdlog.h>

#include "daemon/qemu_process.hpp"
#include "daemon/qemu_version.hpp"

namespace swat::daemon {
namespace {

// "VM status: running", "VM status: paused", and with a state that is neither: "VM status: paused
// (prelaunch)"; up to 7.2 perhaps " (single step mode)" before that. [hmp_info_status]
Result<std::string> state_in(const std::string& status) {
  constexpr std::string_view kRunning = "VM status: running";
  constexpr std::string_view kPaused = "VM status: paused";
  constexpr std::string_view kStepping = " (single step mode)";
  if (status.starts_with(kRunning)) return "running";
  if (!status.starts_with(kPaused)) return fail(Errc::kProtocol, "no such status: " + status);
  std::string_view rest = std::string_view(status).substr(kPaused.size());
  if (rest.starts_with(kStepping)) rest.remove_prefix(kStepping.size());
  if (!rest.starts_with(" (")) return "paused";
  return std::string(rest.substr(2, rest.find(')') - 2));
}

}  // namespace

RunStateBefore RunStateBefore::told(std::string qmp_state) {
  RunStateBefore before;
  before.state_ = std::move(qmp_state);
  return before;
}

RunStateBefore RunStateBefore::seen_at(const gdbproto::Endpoint& endpoint) {
  RunStateBefore before;
  auto witness = find_witness(endpoint);
  if (!witness) {
    spdlog::debug("QEMU's run state cannot be seen from here: {}", witness.error().what);
    return before;
  }
  before.witness_ = *std::move(witness);
  if (auto state = before.witness_->run_state.read(before.witness_->qemu)) {
    before.state_ = *std::move(state);
  }
  return before;
}

Result<RunStateBefore::Witness> RunStateBefore::find_witness(const gdbproto::Endpoint& endpoint) {
  const pid_t pid = SWAT_TRY(find_listener(endpoint));
  ProcessMemory qemu(pid);
  Error last{Errc::kNotFound, "no program of that process exports a run state", {}};
  for (const MappedFile& file : SWAT_TRY(mapped_files(pid))) {
    auto found = QemuRunState::in(qemu, file.start);
    if (found) return Witness{qemu, *std::move(found)};
    // Libraries, fonts and the like are no reason.
    if (found.error().code == Errc::kUnsupported) last = std::move(found).error();
  }
  return tl::unexpected(std::move(last));
}

Result<> RunStateBefore::check(const std::string& status) const {
  ProcessMemory qemu = witness_->qemu;
  const std::string now = SWAT_TRY(witness_->run_state.read(qemu));
  const std::string told = SWAT_TRY(state_in(status));
  if (now == told) return {};
  return fail(Errc::kBadImage, "its memory says " + now + ", its monitor " + told);
}

// QEMU <= 8.0 tells by the stop reply that it sends when somebody connects to a running guest.
// Later ones tell only of states that a running guest cannot have come from.
Result<bool> RunStateBefore::was_running(gdbproto::Session& session, bool saw_stop) const {
  if (state_ && !witness_) return *state_ == "running";
  constexpr QemuVersion kFirstThatIsSilent{8, 1};
  const std::string version = SWAT_TRY(session.monitor("info version"));
  if (QemuVersion::parse(version) < kFirstThatIsSilent) return saw_stop;
  const std::string status = SWAT_TRY(session.monitor("info status"));
  if (state_) {
    const auto checked = check(status);
    if (checked) return *state_ == "running";
    spdlog::debug("QEMU's run state is not what was taken for it: {}", checked.error().what);
  }
  return status.find("paused (") == std::string::npos;
}

}  // namespace swat::daemon
