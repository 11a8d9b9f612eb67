// What the readers of ELF images have to know of an architecture: one row each.
#pragma once

#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace swat::symbols {

struct ElfMachine {
  std::uint16_t machine;    // e_machine
  std::uint32_t jump_slot;  // relocation types
  std::uint32_t glob_dat;
  std::uint32_t irelative;
  std::uint64_t code_mask;  // what of a function symbol's value is its address
};

inline constexpr ElfMachine kElfMachines[] = {
    // [System V ABI, AMD64 supplement 1.0, table 4.10]; x32 has the same numbers
    {EM_X86_64, R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT, R_X86_64_IRELATIVE, ~std::uint64_t{0}},
    // [System V ABI, Intel386 supplement 1.1, table 4.9]
    {EM_386, R_386_JMP_SLOT, R_386_GLOB_DAT, R_386_IRELATIVE, ~std::uint64_t{0}},
    // Bit 0 of a function's value says Thumb, it is no part of the address.
    // [ELF for the Arm Architecture 2023Q1 (aaelf32), 5.5.3 and 5.6.1.9]
    {EM_ARM, R_ARM_JUMP_SLOT, R_ARM_GLOB_DAT, R_ARM_IRELATIVE, ~std::uint64_t{1}},
    // [ELF for the Arm 64-bit Architecture 2023Q1 (aaelf64), 5.7.12]
    {EM_AARCH64, R_AARCH64_JUMP_SLOT, R_AARCH64_GLOB_DAT, R_AARCH64_IRELATIVE, ~std::uint64_t{0}},
};

// Null: none of ours.
[[nodiscard]] inline const ElfMachine* find_elf_machine(std::uint16_t machine) {
  const auto* row = std::ranges::find(kElfMachines, machine, &ElfMachine::machine);
  return row == std::end(kElfMachines) ? nullptr : row;
}

}  // namespace swat::symbols
