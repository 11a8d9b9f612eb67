#include "daemon/syscall_log.hpp"

namespace swat::daemon {

using os::linux_os::Effect;
using os::linux_os::SyscallAbi;

std::optional<LoggedCall> SyscallLog::enter(const EntryTrap& entry, const Actor& actor) {
  auto logged = take(read(*entry.abi, actor), *entry.abi, actor);
  if (logged && !entry.abi->next_pc.empty()) {
    logged->next_pc = Va{vm_.guest().reg_or_zero(actor.scene.vcpu, entry.abi->next_pc)};
  }
  return logged;
}

std::optional<LoggedCall> SyscallLog::enter(const os::DispatchedSyscall& call, const Actor& actor) {
  const SyscallAbi* abi = os::linux_os::find_abi(call.entry);
  if (abi == nullptr) return {};
  return take(
      {abi->mnemonic, call.number, os::linux_os::syscall_name(*abi, call.number), call.arguments},
      *abi, actor);
}

std::optional<LoggedCall> SyscallLog::take(const SyscallEvent& call, const SyscallAbi& abi,
                                           const Actor& actor) {
  const Effect effect = os::linux_os::effect_of(call.name);
  const bool wanted = actor.selected && wanted_.wants(call.name);
  const auto sequence = wanted ? log_.write(actor.scene, call) : std::nullopt;
  if (effect == Effect::kSpawns || effect == Effect::kExecs) processes_.will_spawn(actor.thread);
  if (effect == Effect::kExits) {
    life_.end(actor);
  } else if (effect != Effect::kNone && effect != Effect::kSpawns &&
             may_move_modules(effect, abi, call, actor.thread)) {
    processes_.will_remap(actor.thread);
  }
  if (!sequence) return {};
  return LoggedCall{*sequence, &abi, call.number, call.name, {}};
}

SyscallEvent SyscallLog::read(const SyscallAbi& abi, const Actor& actor) {
  const std::uint64_t mask = abi.word == 8 ? ~std::uint64_t{0} : 0xffffffff;
  const std::uint64_t number = vm_.guest().reg_or_zero(actor.scene.vcpu, abi.number) & mask;
  SyscallEvent call{abi.mnemonic, number, os::linux_os::syscall_name(abi, number), {}};
  for (std::size_t i = 0; i < abi.args.size(); ++i) {
    call.arguments[i] = argument(abi.args[i], actor, mask);
  }
  return call;
}

std::optional<std::uint64_t> SyscallLog::argument(const os::linux_os::ArgAt& at, const Actor& actor,
                                                  std::uint64_t mask) {
  const std::uint64_t value = vm_.guest().reg_or_zero(actor.scene.vcpu, at.reg) & mask;
  if (!at.in_memory) return value;
  // The caller's stack is its own again as soon as the guest runs.
  if (vm_.session().running()) return {};
  const auto memory = model_.memory(actor.thread.process);
  const auto word = read_as<std::uint32_t>(*memory, Va{value} + at.offset);
  return word ? std::optional<std::uint64_t>(*word) : std::nullopt;
}

// Allocators map and unmap anonymous memory all day; no module comes or goes with it.
bool SyscallLog::may_move_modules(Effect effect, const SyscallAbi& abi, const SyscallEvent& call,
                                  const os::Thread& thread) {
  constexpr std::uint64_t kAnonymous = 0x20;                       // MAP_ANONYMOUS
  const bool in_registers = abi.word == 8 || call.name != "mmap";  // i386's first mmap: a struct
  if (effect == Effect::kMaps && in_registers && call.name.starts_with("mmap")) {
    return (call.arguments[3].value_or(0) & kAnonymous) == 0;
  }
  if (effect == Effect::kUnmaps) {
    const ProcessView* view = processes_.find(thread.process);
    const Va start{call.arguments[0].value_or(0)};
    const VaRange gone{start, start + call.arguments[1].value_or(0)};
    return view != nullptr && view->has_module_in(gone);
  }
  return true;
}

}  // namespace swat::daemon
