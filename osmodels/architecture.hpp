// What traps and models have to know of a processor: one row for each architecture.
//
// Register names are those of QEMU's target.xml. System registers of ARM and AArch64 have other
// names in other versions of QEMU ("VBAR" in 7.2, "VBAR_EL1" in 11.1): read them with
// system_register().
#pragma once

#include <cstdint>
#include <string_view>

#include "osmodels/guest.hpp"

namespace swat::os {

// Whether a vCPU executes in the kernel: by some bits of a register.
struct PrivilegeTest {
  std::string_view reg;
  std::uint64_t mask;
  bool kernel_when_zero;  // else the kernel is where any of them is set
};

struct Machine {
  Architecture architecture;
  std::string_view name;
  std::string_view target_xml;  // <architecture> there
  unsigned word_bytes;
  std::string_view pc;
  std::string_view sp;
  std::string_view link;           // return address at a function's start; "": on top of the stack
  std::string_view number;         // of a syscall, at the instruction that makes it
  std::string_view result;         // of a syscall, and of a function
  std::string_view user_root;      // page table of user addresses
  std::string_view kernel_root;    // of kernel addresses; the same where one table has both
  std::string_view fault_address;  // that the last page fault was about
  PrivilegeTest privilege;
  // QEMU stops a vCPU before the access that a watchpoint is on, not behind it: who resumes it has
  // to bring it past the instruction. [QEMU, gdb_stop_before_watchpoint in target/*/cpu.c]
  bool stops_before_access;
  std::uint64_t code_mode_bits = 0;  // of an address of code: how it is encoded, not where it is
  // Of code of narrower words QEMU's stub does not tell the registers: AArch32's on an AArch64 CPU.
  // (facts/qemu.md 3)
  unsigned least_word_bytes = 0;
};

[[nodiscard]] const Machine& machine_of(Architecture architecture);
// Null: none of ours. `target_xml` is the <architecture> of QEMU's target.xml.
[[nodiscard]] const Machine* find_machine(std::string_view target_xml);

// A system register by the name that has no exception level in it ("VBAR"), in either spelling.
// kNotFound: this CPU has none of that name.
[[nodiscard]] Result<std::uint64_t> system_register(GuestView& guest, unsigned vcpu,
                                                    std::string_view name);

}  // namespace swat::os
