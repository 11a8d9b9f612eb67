// Traps between a syscall's entry and its handler, for those syscalls alone that are asked for:
// a read watch over their slots of the kernel's table, so that no other syscall stops the guest; or
// a breakpoint on each of their handlers, where the kernel's code compares instead of reading a
// table. What the kernel refuses before it comes to a handler (a number that there is not, seccomp)
// is not seen.
#include "daemon/trap.hpp"

namespace swat::daemon {
namespace {

using Dispatch = std::shared_ptr<const os::SyscallDispatch>;

std::vector<std::uint32_t> with_handler(const os::SyscallDispatch& dispatch,
                                        const SyscallDemand& demand) {
  std::vector<std::uint32_t> numbers = demand.numbers;
  if (demand.all) {
    for (std::uint32_t i = 0; i < dispatch.handlers.size(); ++i) numbers.push_back(i);
  }
  std::erase_if(numbers, [&](std::uint32_t number) {
    return number >= dispatch.handlers.size() || dispatch.handlers[number].is_null();
  });
  return numbers;
}

// One watch for neighbours.
std::vector<Trap> slot_watches(const Dispatch& dispatch,
                               const std::vector<std::uint32_t>& numbers) {
  std::vector<Trap> traps;
  for (const std::uint32_t number : numbers) {
    const Va slot = *dispatch->table + number * dispatch->kWordBytes;
    if (!traps.empty() && traps.back().point.at + traps.back().point.size_bytes == slot) {
      traps.back().point.size_bytes += dispatch->kWordBytes;
    } else {
      traps.push_back(
          {{gdbproto::PointKind::kReadWatch, slot, dispatch->kWordBytes}, DispatchTrap{dispatch}});
    }
  }
  return traps;
}

// Numbers may share a handler: that of what is not implemented, say.
std::vector<Trap> handler_breakpoints(const Dispatch& dispatch,
                                      const std::vector<std::uint32_t>& numbers) {
  std::vector<Trap> traps;
  for (const std::uint32_t number : numbers) {
    const gdbproto::Point point{gdbproto::PointKind::kSoftwareBreakpoint,
                                dispatch->handlers[number], 1};
    const bool is_known =
        std::ranges::any_of(traps, [&](const Trap& trap) { return trap.point == point; });
    if (!is_known) traps.push_back({point, DispatchTrap{dispatch}});
  }
  return traps;
}

class TableKind final : public TrapKind {
 public:
  std::string_view name() const override { return "table"; }

  Result<std::vector<Trap>> entry(os::GuestView&, os::OsModel& model, const os::SyscallEntry& entry,
                                  const SyscallDemand& demand) const override {
    const auto* abi = os::linux_os::find_abi(entry.kind);
    if (abi == nullptr) return fail(Errc::kUnsupported, "no ABI for this entry");
    const bool compat = entry.kind != os::SyscallEntry::Kind::kSyscall;
    const Dispatch dispatch = SWAT_TRY(model.syscall_dispatch(compat));
    const auto numbers = with_handler(*dispatch, demand);
    if (numbers.empty()) return fail(Errc::kNotFound, "this kernel has none of these syscalls");
    if (dispatch->table) return slot_watches(dispatch, numbers);
    if (demand.all) return fail(Errc::kUnsupported, "this kernel has no table to watch");
    return handler_breakpoints(dispatch, numbers);
  }

  Result<std::vector<Trap>> returns(os::OsModel&) const override {
    return fail(Errc::kUnsupported, "the table is read on the way in only");
  }

  Result<std::vector<Trap>> imports(VaRange slots) const override {
    return watch_kind().imports(slots);
  }

  Result<std::vector<Trap>> function(Va, FunctionTrap) const override {
    return fail(Errc::kUnsupported, "the table is of syscalls");
  }
};

}  // namespace

const TrapKind& table_kind() {
  static const TableKind kind;
  return kind;
}

}  // namespace swat::daemon
