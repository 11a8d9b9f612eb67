#include "daemon/recorder.hpp"

#include <spdlog/spdlog.h>

namespace swat::daemon {

Recorder::Recorder(const Context& with)
    : with_(with),
      syscalls_(with.vm, with.model, with.processes, with.life, with.log,
                with.options.selection.syscalls),
      calls_(with.vm, with.model, with.processes, with.traps, with.log,
             with.options.selection.calls),
      returns_(with.vm, with.model, with.life, with.log),
      call_returns_(with.vm, with.model, with.life, with.log) {}

Result<> Recorder::begin(const Planner& planner, std::optional<Va> page_fault_entry) {
  const TraceOptions& options = with_.options;
  by_stubs_ = options.returns && returns_through_stubs(with_.model);
  if (by_stubs_) {
    syscalls_.tell_frames();
  } else if (options.returns) {
    SWAT_CHECK(with_.traps.add(SWAT_TRY(returns_.begin(planner))));
  }
  if (by_stubs_ || options.call_returns) {
    SWAT_CHECK(call_returns_.begin(planner, page_fault_entry, options.call_returns));
  }
  if (planner.uses_exec_log() && !options.selection.calls.is_none()) return start_exec_log();
  if (planner.imports() == nullptr) spdlog::info("calls: only of functions named with --break");
  return {};
}

Result<> Recorder::start_exec_log() {
  if (with_.vm.guest().architecture() != os::Architecture::kX86_64) {
    return fail(Errc::kUnsupported, "calls in the execution log are told on x86_64 only, yet");
  }
  std::vector<Va> entries;
  for (const os::SyscallEntry& entry : SWAT_TRY(with_.model.syscall_entries())) {
    entries.push_back(entry.address);
  }
  exec_log_ = SWAT_TRY(ExecLog::start({with_.vm, with_.model, with_.processes, with_.life,
                                       with_.traps, with_.log, with_.options.selection.calls},
                                      std::move(entries)));
  spdlog::info("calls: execution log, of every module in every process");
  return {};
}

void Recorder::finish() {
  returns_.finish();
  call_returns_.finish();
}

Result<> Recorder::disarm() {
  SWAT_CHECK(returns_.disarm());
  return call_returns_.disarm();
}

// --- Who runs

Result<Actor> Recorder::meet(unsigned vcpu) {
  Actor actor = SWAT_TRY(with_.life.meet(vcpu));
  SWAT_CHECK(with_.traps.flush_removals());
  if (exec_log_ != nullptr) SWAT_CHECK(exec_log_->resolve(actor));
  returns_.meet(actor);
  call_returns_.meet(actor);
  return actor;
}

Result<> Recorder::meet_all() {
  const std::size_t vcpus = with_.vm.session().threads().size();
  for (unsigned vcpu = 0; vcpu < vcpus; ++vcpu) SWAT_CHECK(meet(vcpu));
  return {};
}

Result<> Recorder::meet_stranger(unsigned vcpu) {
  if (!with_.options.selection.needs_modules()) return {};
  const auto thread = with_.model.current(vcpu);
  if (!thread || thread->process.memory_object.is_null()) return {};
  if (with_.processes.find(thread->process) != nullptr) return {};
  SWAT_CHECK(meet(vcpu));
  return {};
}

// --- What is logged

// The return of a call that is not selected is not to be waited for: know first which it is.
bool Recorder::may_run_from_entry(const os::SyscallAbi& abi) const {
  return !abi.has_stack_arguments && !with_.model.follows_calls() &&
         (!returns_.is_on() || with_.options.selection.syscalls.is_all());
}

void Recorder::log_calls() {
  if (exec_log_ != nullptr) exec_log_->write();
}

void Recorder::let_flow() {
  if (exec_log_ != nullptr) exec_log_->let_flow();
}

Result<> Recorder::syscall(const EntryTrap& entry, const Actor& actor) {
  if (!SWAT_TRY(log_syscall(entry, actor))) count_idle();
  return {};
}

Result<> Recorder::syscall(const os::DispatchedSyscall& call, const Actor& actor) {
  if (!SWAT_TRY(log_syscall(call, actor))) count_idle();
  return {};
}

Result<bool> Recorder::log_syscall(const EntryTrap& entry, const Actor& actor) {
  with_.calibration.noticed(actor, number_of(actor, *entry.abi));
  return await_return(syscalls_.enter(entry, actor), actor);
}

Result<bool> Recorder::log_syscall(const os::DispatchedSyscall& call, const Actor& actor) {
  with_.calibration.noticed(actor, static_cast<std::uint32_t>(call.number));
  return await_return(syscalls_.enter(call, actor), actor);
}

Result<bool> Recorder::await_return(const std::optional<LoggedCall>& logged, const Actor& actor) {
  if (!logged) return false;
  gdbproto::Session& session = with_.vm.session();
  if (!session.running()) SWAT_CHECK(session.change(returns_.at_entry(actor)));
  if (by_stubs_) {
    SWAT_CHECK(session.change(call_returns_.enter(*logged, actor)));
    SWAT_CHECK(call_returns_.take_out_idle());
  }
  returns_.enter(*logged, actor);
  return true;
}

gdbproto::PointChanges Recorder::await_return(const LoggedFunction& logged, const Actor& actor) {
  if (!with_.options.call_returns) return {};
  return call_returns_.enter(logged, actor);
}

gdbproto::PointChanges Recorder::import(std::optional<Call> call, const Actor& actor) {
  const auto logged = call ? calls_.import(*std::move(call), actor) : std::nullopt;
  if (!logged) count_idle();
  return logged ? await_return(*logged, actor) : gdbproto::PointChanges{};
}

Result<> Recorder::breakpoint(std::vector<Trap> hits, Va pc, const Actor& actor) {
  log_calls();
  SWAT_CHECK(prove(hits, pc, actor));
  for (const Trap& hit : hits) {
    if (SWAT_TRY(log_breakpoint(hit, pc, actor))) return {};
  }
  count_idle();
  return {};
}

Result<> Recorder::prove(std::vector<Trap>& hits, Va pc, const Actor& actor) {
  for (const Trap& hit : std::vector<Trap>(hits)) {
    const auto* proof = std::get_if<ProofTrap>(&hit.what);
    if (proof == nullptr) continue;
    const auto number = number_of(actor, with_.calibration.abi_of(*proof));
    SWAT_CHECK(with_.calibration.entered(*proof, actor, number));
    hits = with_.traps.meanings_at_breakpoint(pc);
  }
  return {};
}

Result<bool> Recorder::log_breakpoint(const Trap& trap, Va pc, const Actor& actor) {
  if (const auto* entry = std::get_if<EntryTrap>(&trap.what)) return log_syscall(*entry, actor);
  if (std::holds_alternative<ReturnTrap>(trap.what)) return returns_.at_exit(actor);
  if (const auto* function = std::get_if<FunctionTrap>(&trap.what)) {
    const auto logged = calls_.function(*function, pc, actor);
    if (logged) SWAT_CHECK(with_.vm.session().change(await_return(*logged, actor)));
    return logged.has_value();
  }
  const auto* dispatch = std::get_if<DispatchTrap>(&trap.what);
  if (dispatch == nullptr) return false;
  const auto call = with_.model.dispatched(actor.scene.vcpu, *dispatch->dispatch);
  return call ? log_syscall(*call, actor) : Result<bool>(false);
}

Result<> Recorder::pass_over() {
  count_idle();
  return with_.vm.session().resume();
}

}  // namespace swat::daemon
