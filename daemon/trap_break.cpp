// Breakpoints: everywhere and on every accelerator, and dear: QEMU <= 10.1 flushes its whole
// translation cache at each stop. The reference that other kinds are proven against.
#include "daemon/trap.hpp"

namespace swat::daemon {
namespace {

class BreakKind final : public TrapKind {
 public:
  std::string_view name() const override { return "break"; }

  Result<std::vector<Trap>> entry(os::GuestView&, os::OsModel&, const os::SyscallEntry& entry,
                                  const SyscallDemand&) const override {
    const auto* abi = os::linux_os::find_abi(entry.kind);
    if (abi == nullptr) return fail(Errc::kUnsupported, "no ABI for this entry");
    return std::vector<Trap>{{at(entry.address), EntryTrap{abi, entry.address, {}, {}}}};
  }

  Result<std::vector<Trap>> imports(VaRange) const override {
    return fail(Errc::kUnsupported, "slots are read, not executed: name functions with --break");
  }

  Result<std::vector<Trap>> function(Va address, FunctionTrap what) const override {
    return std::vector<Trap>{{at(address), std::move(what)}};
  }

 private:
  static gdbproto::Point at(Va address) {
    return {gdbproto::PointKind::kSoftwareBreakpoint, address, 1};
  }
};

}  // namespace

const TrapKind& break_kind() {
  static const BreakKind kind;
  return kind;
}

const std::vector<const TrapKind*>& trap_kinds() {
  static const std::vector<const TrapKind*> kinds = {&watch_kind(), &table_kind(), &break_kind()};
  return kinds;
}

}  // namespace swat::daemon
