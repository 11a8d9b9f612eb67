#include "daemon/syscall_log.hpp"

#include <algorithm>
#include <span>

#include "osmodels/arm/entry_path.hpp"
#include "osmodels/linux/syscalls.hpp"

namespace swat::daemon {

using os::Effect;
using os::SyscallAbi;

namespace {

// Upper halves of registers are ignored where words are narrower.
std::uint64_t mask_of(const SyscallAbi& abi) {
  return abi.word == 8 ? ~std::uint64_t{0} : 0xffffffff;
}

}  // namespace

std::optional<LoggedCall> SyscallLog::enter(const EntryTrap& entry, const Actor& actor) {
  auto logged = take(read(entry, actor), *entry.abi, actor);
  if (logged && !entry.abi->next_pc.empty()) {
    logged->next_pc = Va{vm_.guest().reg_or_zero(actor.scene.vcpu, entry.abi->next_pc)};
  }
  return logged;
}

std::optional<LoggedCall> SyscallLog::enter(const os::DispatchedSyscall& call, const Actor& actor) {
  const SyscallAbi* abi = os::find_abi(call.entry);
  if (abi == nullptr) return {};
  return take({abi->mnemonic, call.number, model_.syscall_name(*abi, call.number), call.arguments},
              *abi, actor);
}

std::optional<LoggedCall> SyscallLog::take(const SyscallEvent& call, const SyscallAbi& abi,
                                           const Actor& actor) {
  const std::string_view name = os::linux_os::plain_name(call.name);
  const Effect effect = os::effect_of(name);
  const bool wanted = actor.selected && wanted_.wants(name);
  model_.entered(actor.scene.vcpu, actor.thread.process, name, call.arguments);
  const auto sequence = wanted ? log_.write(actor.scene, call) : std::nullopt;
  if (effect == Effect::kSpawns || effect == Effect::kExecs) processes_.will_spawn(actor.thread);
  if (effect == Effect::kExits) {
    life_.end(actor);
  } else if (os::may_move_mappings(effect) && may_move_modules(effect, abi, call, actor.thread)) {
    processes_.will_remap(actor.thread);
  }
  if (!sequence) return {};
  LoggedCall logged{*sequence, &abi, call.number, call.name, {}};
  // Elsewhere than on x86 the result register is that of the first argument.
  const bool is_argument = vm_.guest().machine().result != vm_.guest().machine().number;
  if (is_argument) logged.before = call.arguments[0].value_or(0);
  return logged;
}

SyscallEvent SyscallLog::read(const EntryTrap& entry, const Actor& actor) {
  const SyscallAbi& abi = *entry.abi;
  const std::uint64_t called = number(actor, abi);
  SyscallEvent call{abi.mnemonic, called, model_.syscall_name(abi, called), {}};
  // The caller's stack is its own again as soon as the guest runs.
  const bool has_memory = std::ranges::any_of(abi.args, &os::ArgAt::in_memory) &&
                          !abi.saved_number && !vm_.session().running();
  const auto memory = has_memory ? model_.memory(actor.thread.process) : nullptr;
  for (std::size_t i = 0; i < abi.args.size(); ++i) {
    call.arguments[i] = argument(abi.args[i], entry, actor.scene.vcpu, memory.get());
  }
  return call;
}

std::uint64_t SyscallLog::number(const Actor& actor, const SyscallAbi& abi) {
  const std::uint64_t value = vm_.guest().reg_or_zero(actor.scene.vcpu, abi.number);
  if (abi.may_be_in_instruction && !vm_.session().running()) {
    const Va next{vm_.guest().reg_or_zero(actor.scene.vcpu, abi.next_pc)};
    const auto memory = model_.memory(actor.thread.process);
    if (const auto number = os::arm::number_in_instruction(*memory, next)) return *number;
  }
  // The kernel takes an int's worth of what it has saved.
  if (abi.saved_number) return saved_word(value, *abi.saved_number) & 0xffffffff;
  return abi.word == 8 ? value : value & 0xffffffff;
}

// Of the registers that the kernel saved; 0 once the guest runs, when they may have changed.
std::uint64_t SyscallLog::saved_word(std::uint64_t frame, std::uint16_t offset) {
  if (vm_.session().running()) return 0;
  return read_as<std::uint64_t>(model_.kernel_memory(), Va{frame} + offset).value_or(0);
}

std::optional<std::uint64_t> SyscallLog::argument(const os::ArgAt& at, const EntryTrap& entry,
                                                  unsigned vcpu, VirtualMemory* memory) {
  const SyscallAbi& abi = *entry.abi;
  const std::uint64_t value = vm_.guest().reg_or_zero(vcpu, at.reg);
  if (abi.saved_number) return saved_word(value, at.offset) & mask_of(abi);
  if (!at.in_memory) return value & mask_of(abi);
  if (memory == nullptr) return {};
  std::uint64_t word = 0;
  const auto bytes = std::as_writable_bytes(std::span(&word, 1)).first(abi.word);
  const Va place = base_of(at, entry, vcpu) + at.offset;
  return memory->read(place, bytes) ? std::optional(word) : std::nullopt;
}

// The caller's register, which the entry may have changed by now.
Va SyscallLog::base_of(const os::ArgAt& at, const EntryTrap& entry, unsigned vcpu) {
  StoppedGuest& guest = vm_.guest();
  if (entry.saved_sp && at.reg == guest.machine().sp && guest.pc(vcpu) != entry.stop_pc) {
    const auto saved = read_as<std::uint64_t>(model_.kernel_memory(), *entry.saved_sp);
    if (saved) return Va{*saved};
  }
  return Va{(guest.reg_or_zero(vcpu, at.reg) - entry.advanced) & mask_of(*entry.abi)};
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
