// A guest that stands still: all that the models of operating systems may know of it.
//
// osmodels/ never sees a socket or a protocol. daemon/ implements this interface over QEMU; tests
// implement it over memory dumps of real guests.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "symbols/memory.hpp"

namespace swat::os {

enum class Architecture { kI386, kX86_64, kArm, kAarch64 };

[[nodiscard]] std::string_view to_string(Architecture architecture);

// x86 registers that gdb's set lacks. From the device state, else HMP, else absent.
struct X86SystemTables {
  Va idt_base;
  Va gdt_base;
  Va tr_base;
  std::optional<Va> lstar;
  std::optional<Va> cstar;
  std::optional<Va> sysenter_eip;
};

class GuestView {
 public:
  virtual ~GuestView() = default;

  [[nodiscard]] virtual Architecture architecture() const = 0;
  [[nodiscard]] virtual unsigned vcpu_count() const = 0;
  // A register of a stopped vCPU (0-based) by its name in QEMU's target.xml: "rax", "cr3",
  // "gs_base"; "rax" is eax where the target has 32 bits, and the other way round. kNotFound: this
  // CPU has none of that name.
  [[nodiscard]] virtual Result<std::uint64_t> reg(unsigned vcpu, std::string_view name) = 0;
  // kUnsupported where this guest is no x86 or nothing can tell.
  [[nodiscard]] virtual Result<X86SystemTables> x86_tables(unsigned vcpu) = 0;
  [[nodiscard]] virtual PhysicalMemory& ram() = 0;
};

}  // namespace swat::os
