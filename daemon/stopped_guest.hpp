// GuestView over a stopped QEMU: registers by name and RAM, cached until the guest runs again.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gdbproto/device_state.hpp"
#include "gdbproto/session.hpp"
#include "osmodels/architecture.hpp"
#include "osmodels/cached_ram.hpp"

namespace swat::daemon {

class StoppedGuest final : public os::GuestView {
 public:
  // All outlive this. kUnsupported: an architecture that swatd does not know.
  [[nodiscard]] static Result<StoppedGuest> over(gdbproto::Session& session, PhysicalMemory& ram);

  // System registers of every vCPU, when something could tell them.
  void set_x86_tables(std::vector<os::X86SystemTables> tables) { tables_ = std::move(tables); }
  // The guest runs, or has run.
  void forget();
  // Registers that came with a stop already, of one vCPU.
  void remember(unsigned vcpu, std::vector<std::byte> g);

  [[nodiscard]] os::Architecture architecture() const override { return machine_.architecture; }
  [[nodiscard]] unsigned vcpu_count() const override;
  [[nodiscard]] Result<std::uint64_t> reg(unsigned vcpu, std::string_view name) override;
  // As reg() finds it in target.xml; null: there is none.
  [[nodiscard]] const gdbproto::RegisterInfo* find_register(std::string_view name) const;
  // A register that every stub of this architecture has; what a broken one does not give is 0.
  [[nodiscard]] std::uint64_t reg_or_zero(unsigned vcpu, std::string_view name) {
    return reg(vcpu, name).value_or(0);
  }
  [[nodiscard]] const os::Machine& machine() const { return machine_; }
  [[nodiscard]] Va pc(unsigned vcpu) { return Va{reg_or_zero(vcpu, machine_.pc)}; }
  [[nodiscard]] Va sp(unsigned vcpu) { return Va{reg_or_zero(vcpu, machine_.sp)}; }
  [[nodiscard]] bool in_kernel(unsigned vcpu) {
    const os::PrivilegeTest& test = machine_.privilege;
    return ((reg_or_zero(vcpu, test.reg) & test.mask) == 0) == test.kernel_when_zero;
  }
  [[nodiscard]] Result<os::X86SystemTables> x86_tables(unsigned vcpu) override;
  [[nodiscard]] PhysicalMemory& ram() override { return *ram_; }

 private:
  StoppedGuest(gdbproto::Session& session, PhysicalMemory& ram, const os::Machine& machine)
      : session_(session), ram_(std::make_unique<os::CachedRam>(ram)), machine_(machine) {}

  gdbproto::Session& session_;
  std::unique_ptr<os::CachedRam> ram_;  // stays where it is, for those who know it
  const os::Machine& machine_;
  std::vector<os::X86SystemTables> tables_;
  std::vector<std::optional<std::vector<std::byte>>> g_;  // by vCPU
};

// IDT, GDT and TR bases out of `info registers`' text, where there is no QMP.
[[nodiscard]] Result<os::X86SystemTables> parse_info_registers(std::string_view text);

}  // namespace swat::daemon
