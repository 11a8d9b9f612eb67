// Where the number and the arguments of a system call stand when a kernel is entered, and what
// calls do to the process that makes them: rows of each system, in osmodels/linux and
// osmodels/windows.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "osmodels/model.hpp"

namespace swat::os {

// Where one argument is: a register, or memory at `offset` from that register: the user's, or, with
// saved_number, the kernel's.
struct ArgAt {
  std::string_view reg;
  bool in_memory = false;
  std::int16_t offset = 0;
};

// Numbers from `base` on.
struct NumberRange {
  std::uint64_t base;
  std::span<const std::string_view> names;
  bool in_table = true;  // handlers are looked up in the kernel's table of them
};

// State at the kernel's first instructions: the caller's registers, but for the stack pointer.
struct SyscallAbi {
  SyscallEntry::Kind entry;
  std::string_view mnemonic;  // as SWAT's log writes it
  std::string_view number;    // register
  std::uint8_t word;          // bytes of a number or argument; upper register halves are ignored
  std::array<ArgAt, 6> args;
  std::span<const std::string_view> names;  // of numbers from 0 on
  std::string_view next_pc = {};  // register that holds where the caller goes on; "": none does
  // The kernel has saved the caller's registers already: the number is this far from where the
  // register `number` points.
  std::optional<std::uint16_t> saved_number = {};
  std::span<const NumberRange> more_names = {};
  bool may_be_in_instruction = false;  // the number: arm::number_in_instruction()
  bool has_stack_arguments = false;    // which are read before the guest runs on
  // Where arguments behind `args` are, a word each; none: there are no more.
  std::optional<ArgAt> more_args = {};
  // Calls are made by stubs: the word of the caller's stack that the stub's `ret` will take, with
  // which the call is over. None: they are not, or that is not known.
  std::optional<ArgAt> return_slot = {};
};

// The ABI of an entry; null: none.
[[nodiscard]] const SyscallAbi* find_abi(SyscallEntry::Kind entry);

// Name in the ABI's table, as strace has it: "execve#64" for a 64-bit call's number with the bit of
// x32. "" if unknown.
[[nodiscard]] std::string_view syscall_name(const SyscallAbi& abi, std::uint64_t number);

// What a syscall may do to the caller's address space or life. kSpawns: there is another process,
// or another thread, and maybe another address space. kSettles: nothing, but C libraries call it
// soon after execve, for their heap or first thread; of a static program it may be the only call
// before its end that is listed here.
// kLeaves: its caller goes on somewhere else, or not at all.
enum class Effect { kNone, kSettles, kMaps, kUnmaps, kExecs, kSpawns, kLeaves, kExits };
[[nodiscard]] Effect effect_of(std::string_view name);
// The same where it depends on the first argument, a word of so many bytes.
[[nodiscard]] Effect effect_of(std::string_view name, std::optional<std::uint64_t> first,
                               unsigned word_bytes);
[[nodiscard]] constexpr bool may_move_mappings(Effect effect) {
  return effect == Effect::kMaps || effect == Effect::kUnmaps || effect == Effect::kExecs;
}

struct EffectRow {
  std::string_view name;
  Effect effect;
  std::optional<std::int64_t> first = {};  // has it only with this as its first argument
};

}  // namespace swat::os
