// The tracer and the proof of its traps (calibration.hpp).
#include "daemon/tracer.hpp"

namespace swat::daemon {

Result<> Tracer::begin_proof(std::vector<EntryPlan> plans) {
  return calibration_.begin(std::move(plans), exec_log_ == nullptr, Clock::now());
}

Result<> Tracer::prove(std::vector<Trap>& hits, Va pc, const Actor& actor) {
  for (const Trap& hit : std::vector<Trap>(hits)) {
    const auto* proof = std::get_if<ProofTrap>(&hit.what);
    if (proof == nullptr) continue;
    SWAT_CHECK(calibration_.entered(*proof, actor, number_of(actor, calibration_.abi_of(*proof))));
    hits = traps_.meanings_at_breakpoint(pc);
  }
  return {};
}

Result<bool> Tracer::log_syscall(const EntryTrap& entry, const Actor& actor) {
  calibration_.noticed(actor, number_of(actor, *entry.abi));
  return await_return(syscalls_.enter(entry, actor), actor);
}

Result<bool> Tracer::log_syscall(const os::DispatchedSyscall& call, const Actor& actor) {
  calibration_.noticed(actor, static_cast<std::uint32_t>(call.number));
  return await_return(syscalls_.enter(call, actor), actor);
}

}  // namespace swat::daemon
