// What the code of a 32-bit ARM kernel's vector_swi tells: how it comes from `svc` to a handler.
//
// It saves the caller's registers, of which r0 to r7 stay where they are, and until 5.17 loads the
// address of cr_alignment from a word beside its code, which nobody else reads. Then it takes the
// table of handlers (`adr`), with CONFIG_OABI_COMPAT another one if the caller's own instruction
// has a number, and jumps through it:
//
//   sub sp, sp, #72; stmia sp, {r0-r12}; ...; ldr ip, cr_alignment_address; ldr ip, [ip]; ...
//   add r8, pc, #table; [ldrne r8, oabi_table_address;] ...; cmp r7, #count; ldrcc pc, [r8, r7, lsl
//   #2]
//
// Where a CPU needs its branch history flushed, other code comes first and goes on there.
// [arch/arm/kernel/entry-common.S, entry-armv.S of Linux 2.6.32 to 6.12]
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "symbols/memory.hpp"

namespace swat::os::arm {

struct EntryPath {
  // A word that nothing but this code reads, once for each call, with the caller's r0 to r7 and the
  // address it will go on at, in lr, in place.
  struct Literal {
    Va at;    // the instruction
    Va word;  // what it reads
  };
  struct TableLoad {
    Va at;               // the instruction
    unsigned table = 0;  // registers
    unsigned number = 0;
    unsigned condition = 0;
  };

  std::optional<Literal> literal;
  bool looks_at_instruction = false;  // of the caller: there may be a number
  std::optional<Va> table;
  std::optional<Va> oabi_table;
  std::uint32_t count = 0;  // of handlers in each table; 0: unknown
  std::vector<TableLoad> loads;
};

// `entry` is where the vector of SVC leads. Reads at most a page.
[[nodiscard]] Result<EntryPath> read_entry_path(VirtualMemory& kernel, Va entry);

// __NR_OABI_SYSCALL_BASE: numbers of the old ABI are told apart by it.
inline constexpr std::uint64_t kOabiBase = 0x900000;

// The number of a call of the old ABI: that in the caller's `swi`, the instruction before `next`.
// nullopt: it has none, and the number is in r7. `user` is the caller's memory.
[[nodiscard]] std::optional<std::uint64_t> number_in_instruction(VirtualMemory& user, Va next);

}  // namespace swat::os::arm
