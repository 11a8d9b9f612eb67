// The CPU section of the file that QMP's xen-save-devices-state writes: the only place where a
// stock QEMU shows LSTAR, SYSENTER_EIP and their like. Layout: facts/qemu.md section 5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "symbols/address.hpp"
#include "symbols/result.hpp"

namespace swat::gdbproto {

// What gdb's registers leave out, of one x86 vCPU. 64-bit members are 0 on the i386 target.
struct X86SystemRegisters {
  Va idt_base;
  Va gdt_base;
  Va tr_base;
  std::uint32_t idt_limit = 0;
  std::uint32_t gdt_limit = 0;
  Va sysenter_eip;
  Va sysenter_esp;
  Va lstar;
  Va cstar;
  std::uint64_t star = 0;
  std::uint64_t kernel_gs_base = 0;
  std::uint64_t cr3 = 0;
};

// One per vCPU, in cpu_index order. `is_64_bit`: the file came from qemu-system-x86_64.
[[nodiscard]] Result<std::vector<X86SystemRegisters>> parse_x86_device_state(
    std::span<const std::byte> file, bool is_64_bit);

}  // namespace swat::gdbproto
