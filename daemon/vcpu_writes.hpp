// The registers and stack of a stopped vCPU, for emulate-and-skip: reads come from what the stop
// brought, register writes are kept to go out in one packet train with the resume.
#pragma once

#include <array>
#include <map>
#include <vector>

#include "daemon/stopped_guest.hpp"
#include "gdbproto/session.hpp"
#include "osmodels/emulation.hpp"

namespace swat::daemon {

class VcpuWrites final : public os::VcpuState {
 public:
  VcpuWrites(gdbproto::Session& session, StoppedGuest& guest, unsigned vcpu)
      : session_(session), guest_(guest), vcpu_(vcpu) {}

  [[nodiscard]] Result<std::uint64_t> reg(std::string_view name) override;
  [[nodiscard]] Result<> set_reg(std::string_view name, std::uint64_t value) override;
  [[nodiscard]] Result<> store(Va at, std::uint64_t value, unsigned size_bytes) override;

  // Sends what was set and lets the guest go on at `next`.
  [[nodiscard]] Result<> resume_at(Va next);
  // The same, and the guest stays stopped.
  [[nodiscard]] Result<> move_to(Va next);

 private:
  struct Write {
    const gdbproto::RegisterInfo* info;
    std::array<std::byte, 8> value;
  };
  gdbproto::Session& session_;
  StoppedGuest& guest_;
  unsigned vcpu_;
  std::map<std::string, Write, std::less<>> writes_;
};

}  // namespace swat::daemon
