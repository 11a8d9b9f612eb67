// Breakpoints in the CPU's debug registers, for KVM: nothing is written into the guest's pages, as
// KVM's software breakpoints are (facts/qemu.md section 2). There are four: enough for the ways
// into a kernel and for nothing else, and a guest that uses them itself does not get them
// meanwhile. Written by QEMU's source and tested with scripted stubs: never measured on KVM.
#include "daemon/trap.hpp"

namespace swat::daemon {
namespace {

class HardwareKind final : public TrapKind {
 public:
  std::string_view name() const override { return "hardware"; }

  Result<std::vector<Trap>> entry(os::GuestView& guest, os::OsModel& model,
                                  const os::SyscallEntry& entry,
                                  const SyscallDemand& demand) const override {
    auto traps = SWAT_TRY(break_kind().entry(guest, model, entry, demand));
    for (Trap& trap : traps) trap.point.kind = gdbproto::PointKind::kHardwareBreakpoint;
    return traps;
  }

  Result<std::vector<Trap>> returns(os::OsModel&) const override {
    return fail(Errc::kUnsupported, "four debug registers are too few");
  }

  Result<std::vector<Trap>> imports(VaRange) const override {
    return fail(Errc::kUnsupported, "four debug registers are too few");
  }

  Result<std::vector<Trap>> function(Va, FunctionTrap) const override {
    return fail(Errc::kUnsupported, "four debug registers are too few");
  }
};

}  // namespace

const TrapKind& hardware_kind() {
  static const HardwareKind kind;
  return kind;
}

}  // namespace swat::daemon
