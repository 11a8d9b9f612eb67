// Traps between a syscall's entry and its handler, for those syscalls alone that are asked for:
// a read watch over their slots of the kernel's table, so that no other syscall stops the guest; or
// a breakpoint on each of their handlers, where the kernel's code compares instead of reading a
// table. What the kernel refuses before it comes to a handler (a number that there is not, seccomp)
// is not seen.
#include <numeric>

#include "daemon/trap.hpp"

namespace swat::daemon {
namespace {

using Dispatch = std::shared_ptr<const os::SyscallDispatch>;

std::vector<std::uint32_t> with_handler(const os::SyscallDispatch& dispatch,
                                        const SyscallDemand& demand) {
  std::vector<std::uint32_t> numbers = demand.numbers;
  if (demand.all) {
    numbers.resize(dispatch.handlers.size());
    std::iota(numbers.begin(), numbers.end(), static_cast<std::uint32_t>(dispatch.first_number));
  }
  std::erase_if(numbers, [&](std::uint32_t number) { return dispatch.handler(number).is_null(); });
  return numbers;
}

// One watch for neighbours.
std::vector<Trap> slot_watches(const Dispatch& dispatch,
                               const std::vector<std::uint32_t>& numbers) {
  std::vector<Trap> traps;
  for (const std::uint32_t number : numbers) {
    const VaRange slot = dispatch->slot(number);
    if (!traps.empty() && traps.back().point.at + traps.back().point.size_bytes == slot.start) {
      traps.back().point.size_bytes += slot.size();
    } else {
      traps.push_back(
          {{gdbproto::PointKind::kReadWatch, slot.start, slot.size()}, DispatchTrap{dispatch}});
    }
  }
  return traps;
}

// Numbers may share a handler: that of what is not implemented, say.
std::vector<Trap> handler_breakpoints(const Dispatch& dispatch,
                                      const std::vector<std::uint32_t>& numbers) {
  std::vector<Trap> traps;
  for (const std::uint32_t number : numbers) {
    const gdbproto::Point point{gdbproto::PointKind::kSoftwareBreakpoint, dispatch->handler(number),
                                1};
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
    const auto* abi = os::find_abi(entry.kind);
    if (abi == nullptr) return fail(Errc::kUnsupported, "no ABI for this entry");
    const bool compat = abi->word < model.word_bytes();
    if (asks_beyond_table(*abi, demand)) {
      return fail(Errc::kUnsupported, "not all of these syscalls have handlers in a table");
    }
    auto traps = of_dispatch(SWAT_TRY(model.syscall_dispatch(compat)), demand);
    // ARM's old ABI comes by the same entry, and goes by a table of its own.
    if (traps && abi->may_be_in_instruction) {
      auto more = of_dispatch(SWAT_TRY(model.syscall_dispatch(true)), demand);
      if (more) traps->insert(traps->end(), more->begin(), more->end());
    }
    return traps;
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

 private:
  static bool asks_beyond_table(const os::SyscallAbi& abi, const SyscallDemand& demand) {
    return std::ranges::any_of(abi.more_names, [&](const os::NumberRange& range) {
      return !range.in_table && std::ranges::any_of(demand.numbers, [&](std::uint64_t number) {
        return number >= range.base && number - range.base < range.names.size();
      });
    });
  }

  static Result<std::vector<Trap>> of_dispatch(const Dispatch& dispatch,
                                               const SyscallDemand& demand) {
    const auto numbers = with_handler(*dispatch, demand);
    if (numbers.empty()) return fail(Errc::kNotFound, "this kernel has none of these syscalls");
    if (dispatch->table) return slot_watches(dispatch, numbers);
    if (demand.all) return fail(Errc::kUnsupported, "this kernel has no table to watch");
    return handler_breakpoints(dispatch, numbers);
  }
};

}  // namespace

const TrapKind& table_kind() {
  static const TableKind kind;
  return kind;
}

}  // namespace swat::daemon
