// What a vCPU at a syscall entry says: number, name, arguments; and what the call will change.
#pragma once

#include <cstdint>
#include <optional>

#include "daemon/logged_call.hpp"
#include "daemon/process_life.hpp"
#include "daemon/selection.hpp"
#include "daemon/trap.hpp"
#include "daemon/vm.hpp"

namespace swat::daemon {

class SyscallLog {
 public:
  // All outlive this.
  SyscallLog(Vm& vm, os::OsModel& model, ProcessTable& processes, ProcessLife& life, EventLog& log,
             SyscallFilter wanted)
      : vm_(vm),
        model_(model),
        processes_(processes),
        life_(life),
        log_(log),
        wanted_(std::move(wanted)) {}

  // From now on the calls that are logged tell the frame of the stub that makes them.
  void tell_frames() { tells_frames_ = true; }

  // Logs the syscall that `actor` makes through `entry`; none when it is not one that was
  // selected, or the cap holds it back: then only its effects are noticed. The vCPU's registers are
  // those of the stop, whether the guest stands still or runs on already; arguments in its memory
  // need the former.
  std::optional<LoggedCall> enter(const EntryTrap& entry, const Actor& actor);
  // The same of a syscall that was met on its way to its handler.
  std::optional<LoggedCall> enter(const os::DispatchedSyscall& call, const Actor& actor);

  // That `actor`, at the start of an entry, calls with.
  [[nodiscard]] std::uint64_t number(const Actor& actor, const os::SyscallAbi& abi);

 private:
  std::optional<LoggedCall> take(SyscallEvent call, const os::SyscallAbi& abi, const Actor& actor);
  [[nodiscard]] std::uint64_t saved_word(std::uint64_t frame, std::uint16_t offset);
  [[nodiscard]] SyscallEvent read(const EntryTrap& entry, const Actor& actor);
  [[nodiscard]] std::optional<CallFrame> frame_of_stub(const EntryTrap& entry, const Actor& actor);
  // What the call takes; null: not known.
  [[nodiscard]] const os::Prototype* prototype(std::string_view name);
  // How many words are read, and where they are.
  [[nodiscard]] std::size_t word_count(const os::SyscallAbi& abi, std::string_view name);
  [[nodiscard]] static os::ArgAt place_of(const os::SyscallAbi& abi, std::size_t index);
  // `memory` is the caller's; null: it cannot be read now.
  [[nodiscard]] std::optional<std::uint64_t> argument(const os::ArgAt& at, const EntryTrap& entry,
                                                      unsigned vcpu, VirtualMemory* memory);
  [[nodiscard]] Va place_in_memory(const os::ArgAt& at, const EntryTrap& entry, unsigned vcpu);
  [[nodiscard]] Va base_of(const os::ArgAt& at, const EntryTrap& entry, unsigned vcpu);
  [[nodiscard]] bool may_move_modules(os::Effect effect, const os::SyscallAbi& abi,
                                      const SyscallEvent& call, const os::Thread& thread);

  Vm& vm_;
  os::OsModel& model_;
  ProcessTable& processes_;
  ProcessLife& life_;
  EventLog& log_;
  SyscallFilter wanted_;
  bool tells_frames_ = false;
};

}  // namespace swat::daemon
