// Breakpoints: everywhere and on every accelerator, and dear: QEMU <= 10.1 flushes its whole
// translation cache at each stop. The reference that other kinds are proven against.
#include <algorithm>
#include <array>

#include "daemon/trap.hpp"
#include "osmodels/x86/exit_path.hpp"

namespace swat::daemon {
namespace {

class BreakKind final : public TrapKind {
 public:
  std::string_view name() const override { return "break"; }

  Result<std::vector<Trap>> entry(os::GuestView&, os::OsModel&, const os::SyscallEntry& entry,
                                  const SyscallDemand&) const override {
    const auto* abi = os::find_abi(entry.kind);
    if (abi == nullptr) return fail(Errc::kUnsupported, "no ABI for this entry");
    return std::vector<Trap>{{at(entry.address), EntryTrap{abi, entry.address, {}, {}}}};
  }

  // Exceptions leave the kernel by the same way, and stop there too.
  Result<std::vector<Trap>> returns(os::OsModel& model) const override {
    std::vector<Trap> traps;
    for (const os::SyscallEntry& entry : SWAT_TRY(model.syscall_entries())) {
      if (has_other_ways_out(entry.kind) || model.word_bytes() == 4) {
        return fail(Errc::kUnsupported, "the ways out of this kernel are not known yet");
      }
      const auto points = os::x86::find_exit_points(model.kernel_memory(), entry.address);
      if (!points && entry.kind == os::SyscallEntry::Kind::kSyscall) {
        return tl::unexpected(points.error());
      }
      if (!points) continue;
      for (const os::x86::ExitPoint& exit : *points) add(traps, at(exit.breakpoint));
    }
    if (traps.empty()) return fail(Errc::kUnsupported, "no way out of this kernel is known");
    // Whether a signal has come between is seen where the registers are saved, if that is known.
    if (const auto tracked = model.track_results(); !tracked) {
      if (tracked.error().code == Errc::kDisconnected) return tl::unexpected(tracked.error());
    }
    return traps;
  }

  Result<std::vector<Trap>> imports(VaRange) const override {
    return fail(Errc::kUnsupported, "slots are read, not executed: name functions with --break");
  }

  Result<std::vector<Trap>> function(Va address, FunctionTrap what) const override {
    return std::vector<Trap>{{at(address), std::move(what)}};
  }

 private:
  static bool has_other_ways_out(os::SyscallEntry::Kind kind) {
    using Kind = os::SyscallEntry::Kind;
    constexpr std::array kKinds = {Kind::kSvc, Kind::kAssemblySvc, Kind::kArmSvc, Kind::kArmOabiSvc,
                                   Kind::kNtSyscall};
    return std::ranges::find(kKinds, kind) != kKinds.end();
  }

  static void add(std::vector<Trap>& traps, const gdbproto::Point& point) {
    const auto same = [&](const Trap& trap) { return trap.point == point; };
    if (std::none_of(traps.begin(), traps.end(), same)) traps.push_back({point, ReturnTrap{}});
  }

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
  static const std::vector<const TrapKind*> kinds = {&watch_kind(), &table_kind(), &hardware_kind(),
                                                     &break_kind()};
  return kinds;
}

}  // namespace swat::daemon
