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
  if (logged && tells_frames_) logged->frame = frame_of_stub(entry, actor);
  return logged;
}

std::optional<LoggedCall> SyscallLog::enter(const os::DispatchedSyscall& call, const Actor& actor) {
  const SyscallAbi* abi = os::find_abi(call.entry);
  if (abi == nullptr) return {};
  return take({abi->mnemonic,
               call.number,
               model_.syscall_name(*abi, call.number),
               {call.arguments.begin(), call.arguments.end()}},
              *abi, actor);
}

std::optional<LoggedCall> SyscallLog::take(SyscallEvent call, const SyscallAbi& abi,
                                           const Actor& actor) {
  const std::string_view name = os::linux_os::plain_name(call.name);
  const auto first = call.arguments.empty() ? std::nullopt : call.arguments.front();
  const Effect effect = os::effect_of(name, first, abi.word);
  const bool wanted = actor.selected && wanted_.wants(name);
  model_.entered(actor.scene.vcpu, actor.thread.process, name, call.arguments);
  const bool is_decoded = wanted && log_.shows_arguments() && !vm_.session().running();
  const os::Prototype* const takes = is_decoded ? prototype(name) : nullptr;
  if (takes != nullptr) {
    call.decoded =
        model_.syscalls()->at_entry({actor.thread.process, abi.word, *takes, call.arguments});
  }
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
  if (is_argument) logged.before = first.value_or(0);
  logged.effect = effect;
  logged.prototype = takes;
  if (takes != nullptr) logged.words = std::move(call.arguments);
  return logged;
}

std::optional<CallFrame> SyscallLog::frame_of_stub(const EntryTrap& entry, const Actor& actor) {
  const auto& at = entry.abi->return_slot;
  if (!at || vm_.session().running()) return {};
  const Va slot = place_in_memory(*at, entry, actor.scene.vcpu);
  std::uint64_t back = 0;
  const auto bytes = std::as_writable_bytes(std::span(&back, 1)).first(entry.abi->word);
  if (!model_.memory(actor.thread.process)->read(slot, bytes)) return {};
  return CallFrame{{}, slot, Va{back}, entry.abi->word};
}

const os::Prototype* SyscallLog::prototype(std::string_view name) {
  os::SyscallDecoder* const decoder = model_.syscalls();
  return decoder == nullptr ? nullptr : decoder->prototype(name);
}

std::size_t SyscallLog::word_count(const SyscallAbi& abi, std::string_view name) {
  const os::Prototype* const takes = abi.more_args ? prototype(name) : nullptr;
  return takes == nullptr ? abi.args.size() : model_.syscalls()->word_count(*takes, abi.word);
}

os::ArgAt SyscallLog::place_of(const SyscallAbi& abi, std::size_t index) {
  if (index < abi.args.size()) return abi.args[index];
  os::ArgAt place = abi.more_args.value_or(os::ArgAt{});
  const auto behind = static_cast<int>((index - abi.args.size()) * abi.word);
  place.offset = static_cast<std::int16_t>(place.offset + behind);
  return place;
}

SyscallEvent SyscallLog::read(const EntryTrap& entry, const Actor& actor) {
  const SyscallAbi& abi = *entry.abi;
  const std::uint64_t called = number(actor, abi);
  SyscallEvent call{abi.mnemonic, called, model_.syscall_name(abi, called)};
  // The caller's stack is its own again as soon as the guest runs.
  const bool has_memory = std::ranges::any_of(abi.args, &os::ArgAt::in_memory) &&
                          !abi.saved_number && !vm_.session().running();
  const auto memory = has_memory ? model_.memory(actor.thread.process) : nullptr;
  const std::size_t count = word_count(abi, call.name);
  for (std::size_t i = 0; i < count; ++i) {
    call.arguments.push_back(argument(place_of(abi, i), entry, actor.scene.vcpu, memory.get()));
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
  return memory->read(place_in_memory(at, entry, vcpu), bytes) ? std::optional(word) : std::nullopt;
}

Va SyscallLog::place_in_memory(const os::ArgAt& at, const EntryTrap& entry, unsigned vcpu) {
  const auto offset = static_cast<std::uint64_t>(std::int64_t{at.offset});
  return Va{base_of(at, entry, vcpu).value + offset};
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
