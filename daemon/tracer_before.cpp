// Processors whose watchpoints stop a vCPU before the access (ARM, AArch64).
//
// The vCPU stands at the instruction that is about to read what is watched, and would stop there
// for ever: what it does is carried out for it, and it goes on behind it (osmodels/emulation.hpp).
// What is not understood is stepped, with the watches out of the way.
//
// That makes several vCPUs simpler than on x86 (tracer_smp.cpp): one that has hit a watch and was
// not reported still stands before its read, as does one that was paused there by chance. Both are
// logged, and moved past it. The former's hit is still held by QEMU, which would let its next
// access through and stop behind it; so a vCPU is stepped first, which makes QEMU report the hit:
// then it has either been stopped anew, or has executed the instruction.
// [QEMU 7.2, cpu_check_watchpoint in softmmu/physmem.c]
#include <algorithm>

#include "daemon/tracer.hpp"
#include "daemon/vcpu_writes.hpp"

namespace swat::daemon {
namespace {

bool covers(const Trap& trap, const VaRange& read) {
  return read.start < trap.point.at + trap.point.size_bytes && trap.point.at < read.end;
}

}  // namespace

std::optional<os::DispatchedSyscall> Tracer::awaited_syscall(unsigned vcpu) {
  if (!vm_.guest().in_kernel(vcpu)) return {};
  const Va pc = pc_of(vcpu);
  for (const Trap& trap : calibration_.entries().table_watches()) {
    const os::SyscallDispatch& dispatch = *std::get<DispatchTrap>(trap.what).dispatch;
    if (std::ranges::find(dispatch.loads, pc, &os::SyscallDispatch::Load::at) ==
        dispatch.loads.end()) {
      continue;
    }
    const auto call = model_.dispatched(vcpu, dispatch);
    if (!call) continue;
    if (covers(trap, dispatch.slot(call->number))) return *call;
  }
  return {};
}

const EntryTrap* Tracer::awaited_entry(unsigned vcpu) {
  return vm_.guest().in_kernel(vcpu) ? calibration_.entries().before(pc_of(vcpu)) : nullptr;
}

std::optional<os::SlotRead> Tracer::awaited_slot(unsigned vcpu, const os::Thread& thread) {
  if (planner_.imports() == nullptr || vm_.guest().in_kernel(vcpu)) return {};
  if (thread.process.memory_object.is_null()) return {};
  VcpuWrites registers(vm_.session(), vm_.guest(), vcpu);
  const auto memory = model_.memory(thread.process);
  const auto read = os::read_of_slot(vm_.guest().architecture(), *memory, registers, pc_of(vcpu));
  if (!read || !traps_.watches_read(read->at, read->size_bytes)) return {};
  return *read;
}

std::optional<ReturnLog::Watched> Tracer::awaited_result(unsigned vcpu) {
  if (!recorder_.returns().is_on() || !vm_.guest().in_kernel(vcpu)) return {};
  VcpuWrites registers(vm_.session(), vm_.guest(), vcpu);
  const auto read =
      os::read_of_slot(vm_.guest().architecture(), model_.kernel_memory(), registers, pc_of(vcpu));
  if (!read) return {};
  const unsigned word = model_.word_bytes();
  for (std::uint64_t at = 0; at < read->size_bytes; at += word) {
    if (const auto watched = recorder_.returns().watched(read->at + at)) return watched;
  }
  return {};
}

void Tracer::before_result(unsigned vcpu, const ReturnLog::Watched& watched, const Actor& actor) {
  if (!recorder_.returns().concerns(watched, actor)) {
    recorder_.count_idle();
  } else if (recorder_.returns().is_return(watched, vcpu)) {
    recorder_.returns().leave_before_read(actor, watched);
  } else {
    recorder_.count_idle();
    if (const auto word = recorder_.returns().value(watched))
      recorder_.returns().peeked(actor, *word);
  }
}

Result<> Tracer::on_watch_before(unsigned vcpu, Va watch) {
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  if (const EntryTrap* entry = awaited_entry(vcpu)) {
    SWAT_CHECK(recorder_.syscall(*entry, actor));
  } else if (const auto call = awaited_syscall(vcpu)) {
    SWAT_CHECK(recorder_.syscall(*call, actor));
  } else if (const auto result = recorder_.returns().watched(watch)) {
    if (!recorder_.returns().concerns(*result, actor)) {
      SWAT_CHECK(vm_.session().change(recorder_.returns().after_idle_read(*result, actor)));
    }
    before_result(vcpu, *result, actor);
  } else if (const auto slot = awaited_slot(vcpu, actor.thread)) {
    (void)recorder_.import(recorder_.calls().import_of(*slot, actor.thread),
                           actor);  // nothing changes
  } else {
    recorder_.count_idle();
  }
  return access_stepper_.pass(vcpu, watch, actor.thread);
}

Result<bool> Tracer::settle_one_before(unsigned vcpu) {
  const EntryTrap* entry = awaited_entry(vcpu);
  const auto call = entry == nullptr ? awaited_syscall(vcpu) : std::nullopt;
  if (entry != nullptr || call) {
    const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
    SWAT_CHECK(entry != nullptr ? recorder_.syscall(*entry, actor)
                                : recorder_.syscall(*call, actor));
    SWAT_CHECK(access_stepper_.move_past(vcpu, actor.thread));
    return true;
  }
  if (const auto result = awaited_result(vcpu)) {
    const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
    before_result(vcpu, *result, actor);
    SWAT_CHECK(access_stepper_.move_past(vcpu, actor.thread));
    return true;
  }
  if (planner_.imports() == nullptr || vm_.guest().in_kernel(vcpu)) return false;
  const auto thread = model_.current(vcpu);
  const auto slot = thread ? awaited_slot(vcpu, *thread) : std::nullopt;
  if (!slot) return false;
  const Actor actor = SWAT_TRY(recorder_.meet(vcpu));
  (void)recorder_.import(recorder_.calls().import_of(*slot, actor.thread),
                         actor);  // nothing changes
  SWAT_CHECK(access_stepper_.move_past(vcpu, actor.thread));
  return true;
}

Result<> Tracer::settle_before(std::optional<unsigned> reported) {
  const auto& threads = vm_.session().threads();
  if (reported && threads.size() == 1) return {};
  const auto registers = SWAT_TRY(vm_.session().registers_of(threads));
  const auto remember = [&](unsigned from) {
    for (unsigned vcpu = from; vcpu < threads.size(); ++vcpu) {
      vm_.guest().remember(vcpu, registers[vcpu]);
    }
  };
  remember(0);
  for (unsigned vcpu = 0; vcpu < threads.size(); ++vcpu) {
    if (vcpu == reported) continue;
    SWAT_CHECK(recorder_.meet_stranger(vcpu));
    if (!SWAT_TRY(settle_one_before(vcpu))) continue;
    // Stepping has made us forget what the others hold.
    remember(vcpu + 1);
    if (reported) vm_.guest().remember(*reported, registers[*reported]);
  }
  return {};
}

}  // namespace swat::daemon
