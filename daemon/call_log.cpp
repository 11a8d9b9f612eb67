#include "daemon/call_log.hpp"

#include "daemon/user_place.hpp"

namespace swat::daemon {
namespace {

// Of the function whose first instruction the vCPU stands at: in the link register, or on top of
// the stack.
std::optional<Va> return_address(StoppedGuest& guest, unsigned vcpu, Va sp, VirtualMemory& memory,
                                 unsigned word_bytes) {
  const std::string_view link = guest.machine().link;
  if (!link.empty()) {
    return Va{guest.reg_or_zero(vcpu, link) & ~guest.machine().code_mode_bits};
  }
  std::uint64_t word = 0;
  const auto raw = std::as_writable_bytes(std::span(&word, 1)).first(word_bytes);
  if (!memory.read(sp, raw)) return {};
  return Va{word};
}

}  // namespace

// Programs of several processes have slots at the same addresses: the watch that QEMU names may be
// another one's, which begins elsewhere.
std::optional<Call> CallLog::import_at(unsigned vcpu, Va watch, const os::Thread& thread) {
  ProcessView* view = processes_.find(thread.process);
  if (view == nullptr) return {};
  StoppedGuest& guest = vm_.guest();
  const Va pc = guest.pc(vcpu);
  CallSite site{watch,
                pc,
                Va{guest.reg_or_zero(vcpu, guest.machine().fault_address)},
                guest.in_kernel(vcpu),
                {}};
  const auto memory = model_.memory(thread.process);
  if (const auto place = user_place(guest, model_, vcpu)) {
    if (guest.machine().link.empty()) site.sp = place->sp;
    const unsigned word = user_word_bytes(guest, vcpu, thread.process);
    site.return_address = return_address(guest, vcpu, place->sp, *memory, word);
  }
  if (auto call = resolve_call(*view, *memory, site)) return call;
  const VaRange watched = traps_.watched_from(watch);
  for (const LoadedModule& loaded : view->modules) {
    for (const VaRange& slots : loaded.slot_ranges()) {
      if (slots.start == watch || !slots.overlaps(watched)) continue;
      site.watch = slots.start;
      if (auto call = resolve_call(*view, *memory, site)) return call;
    }
  }
  return {};
}

std::optional<Call> CallLog::import_of(const os::SlotRead& read, const os::Thread& thread) {
  ProcessView* view = processes_.find(thread.process);
  if (view == nullptr || !read.callee) return {};
  return resolve_slot(*view, read.at, *read.callee, read.return_address);
}

std::vector<CallLog::Candidate> CallLog::imports_at(unsigned vcpu, const os::Thread& thread) {
  std::vector<Candidate> found;
  const ProcessView* view = processes_.find(thread.process);
  if (view == nullptr) return found;
  for (const LoadedModule& loaded : view->modules) {
    for (const VaRange& slots : loaded.slot_ranges()) {
      auto call = import_at(vcpu, slots.start, thread);
      if (!call) continue;
      const Va back = call->return_address.value_or(Va{});
      const auto slot = slot_of_call(*model_.memory(thread.process), back);
      found.push_back({slots.start, *std::move(call), slot && slots.contains(*slot)});
    }
  }
  return found;
}

std::optional<LoggedFunction> CallLog::import(Call call, const Actor& actor) {
  if (!actor.selected || !wanted_.wants(call.module, call.function)) return {};
  if (traps_.at_breakpoint(call.address) != nullptr) return {};
  LoggedFunction logged{{}, call.address, call.function, call.module, call.frame};
  logged.sequence = log_.write(
      actor.scene, CallEvent{call.address, std::move(call.function), std::move(call.module),
                             call.return_address, std::move(call.caller_module)});
  return logged;
}

std::optional<LoggedFunction> CallLog::function(const FunctionTrap& what, Va pc,
                                                const Actor& actor) {
  const Va sp = vm_.guest().sp(actor.scene.vcpu);
  const bool is_first = is_first_time(actor.thread.object, {pc, sp});
  if (!actor.selected || !is_first) return {};
  ProcessView* view = processes_.find(actor.thread.process);
  const LoadedModule* holder = view == nullptr ? nullptr : view->module_at(pc);
  // Another process has something else at this address.
  if (holder == nullptr || holder->module.name() != what.module) return {};
  CallEvent call{pc, what.function, what.module, {}, {}};
  const auto memory = model_.memory(actor.thread.process);
  call.caller = return_address(vm_.guest(), actor.scene.vcpu, sp, *memory, what.bits / 8);
  if (const auto* caller = call.caller ? view->module_at(*call.caller) : nullptr) {
    call.caller_module = caller->module.name();
  }
  LoggedFunction logged{{}, pc, what.function, what.module, {}};
  if (call.caller && vm_.guest().machine().link.empty())
    logged.frame = CallFrame{pc, sp, *call.caller, what.bits / 8};
  logged.sequence = log_.write(actor.scene, std::move(call));
  return logged;
}

bool CallLog::is_first_time(Va thread, const Place& place) {
  const auto faulted = faulted_.find(thread);
  if (faulted == faulted_.end() || faulted->second != place) return true;
  faulted_.erase(faulted);
  return false;
}

}  // namespace swat::daemon
