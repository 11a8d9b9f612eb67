// Several vCPUs: exact although QEMU is not.
//
// When two vCPUs hit watchpoints at once, QEMU stops once and names one of them. The other has made
// its access too, stands just behind it, and is never reported; worse, QEMU still holds its hit,
// and the vCPU's next access to a watched page, whatever its address, stops it late (facts/qemu.md
// 0.2).
//
// So at each stop every other vCPU is looked at. One that stands where an entry's stop would be has
// hit it: a reported vCPU is always moved one instruction on before the guest runs, so nobody else
// can stand there. A step of that vCPU alone makes QEMU report and forget the hit. For a call the
// PC is not proof enough, as a vCPU may be paused at a function's first instruction by chance;
// there the step's own report tells.
#include <array>

#include "daemon/tracer.hpp"

namespace swat::daemon {
namespace {

constexpr std::chrono::milliseconds kStepTimeout{2000};
constexpr unsigned kStepTries = 3;

}  // namespace

Result<gdbproto::StopReply> Tracer::step(unsigned vcpu) {
  SWAT_CHECK(vm_.session().step(vm_.session().threads()[vcpu]));
  auto stop = vm_.session().wait_stop(kStepTimeout);
  vm_.guest().forget();
  return stop;
}

const EntryTrap* Tracer::entry_at(unsigned vcpu, Va pc) const {
  for (const EntryTrap& entry : entries_) {
    // Breakpoints have no vCPU: one that was not reported is hit again.
    if (entry.vcpu == vcpu && entry.stop_pc == pc) return &entry;
  }
  return nullptr;
}

Result<> Tracer::settle_others(unsigned stopped) {
  const auto& threads = vm_.session().threads();
  auto registers = SWAT_TRY(vm_.session().registers_of(threads));
  for (unsigned vcpu = 0; vcpu < threads.size(); ++vcpu) {
    vm_.guest().remember(vcpu, registers[vcpu]);
  }
  for (unsigned vcpu = 0; vcpu < threads.size(); ++vcpu) {
    if (vcpu == stopped) continue;
    if (const EntryTrap* entry = entry_at(vcpu, pc_of(vcpu))) {
      SWAT_CHECK(settle_entry(vcpu, *entry));
    } else if (may_have_called(vcpu)) {
      SWAT_CHECK(settle_import(vcpu, SWAT_TRY(meet(vcpu))));
    } else {
      continue;
    }
    // Stepping has made the stub forget what it sent; what it moved is read again when needed.
    for (unsigned other = vcpu + 1; other < threads.size(); ++other) {
      vm_.guest().remember(other, registers[other]);
    }
    vm_.guest().remember(stopped, registers[stopped]);
  }
  return {};
}

// At a callee's first instruction; or, when the callee's page was absent, at that of the fault
// handler, before the interrupt that QEMU stops with could be taken.
bool Tracer::may_have_called(unsigned vcpu) {
  Va callee = pc_of(vcpu);
  if (vm_.guest().in_kernel(vcpu)) {
    if (callee != page_fault_entry_) return false;
    callee = Va{vm_.guest().reg_or_zero(vcpu, "cr2")};
  }
  const auto thread = model_.current(vcpu);
  ProcessView* view = thread ? processes_.find(thread->process) : nullptr;
  return view != nullptr && is_import_target(*view, *model_.memory(thread->process), callee);
}

Result<> Tracer::settle_entry(unsigned vcpu, const EntryTrap& entry) {
  const Actor actor = SWAT_TRY(meet(vcpu));
  if (!syscalls_.enter(entry, actor)) ++idle_stops_;
  const Va pc = pc_of(vcpu);
  // When the vCPU was paused just before it could stop by itself, the first step reports the hit
  // and executes nothing.
  for (unsigned i = 0; i < kStepTries && pc_of(vcpu) == pc; ++i) {
    const auto stop = step(vcpu);
    if (!stop && stop.error().code != Errc::kTimeout) return tl::unexpected(stop.error());
  }
  return {};
}

Result<> Tracer::settle_import(unsigned vcpu, const Actor& actor) {
  // Before the step: it runs the callee's first instruction, which may move the stack.
  const ProcessView* view = processes_.find(actor.thread.process);
  if (view == nullptr) return {};
  std::vector<std::pair<Va, Call>> calls;  // by the watch that would report each
  for (const LoadedModule& loaded : view->modules) {
    for (const VaRange& slots : loaded.slot_ranges()) {
      if (auto call = calls_.import_at(vcpu, slots.start, actor.thread))
        calls.emplace_back(slots.start, *call);
    }
  }
  const auto stop = step(vcpu);
  if (!stop && stop.error().code != Errc::kTimeout) return tl::unexpected(stop.error());
  if (!stop || !stop->watch) return {};
  for (auto& [watch, call] : calls) {
    if (watch != *stop->watch) continue;
    log_import(std::move(call), actor);
    return {};
  }
  ++idle_stops_;
  return {};
}

}  // namespace swat::daemon
