// Traps: something in the guest that is to be noticed, and the point in the stub that notices it.
//
// A trap is an idea (this syscall entry, these import slots, this function); a TrapKind is one way
// to realise it, with its own cost and its own conditions (DESIGN.md section 2). A new kind is one
// file and one row of trap_kinds().
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/syscall_demand.hpp"
#include "gdbproto/session.hpp"
#include "osmodels/model.hpp"
#include "osmodels/syscall_abi.hpp"

namespace swat::daemon {

// The kernel has been entered by `abi`.
struct EntryTrap {
  const os::SyscallAbi* abi;
  Va stop_pc;                    // where a vCPU stands when it is this entry that stopped it
  std::vector<Va> late_pcs;      // or here, when the stub names it for a hit before (EntryStore)
  std::optional<unsigned> vcpu;  // a per-CPU point belongs to one vCPU; nullopt: to all
  // By then the entry has added so much to the register that leads to arguments in memory.
  std::uint64_t advanced = 0;
  // Where it has stored the caller's stack pointer, before it takes its own.
  std::optional<Va> saved_sp = {};
};

// The handler of a syscall is being looked up in the kernel's table, or is about to run.
struct DispatchTrap {
  std::shared_ptr<const os::SyscallDispatch> dispatch;
};

// A thread is on its way back to user mode, with a syscall's result in the result register; or out
// of an exception.
struct ReturnTrap {};

// A word of these import slots has been read.
struct ImportTrap {
  VaRange slots;
};

// This function is about to run.
struct FunctionTrap {
  std::string module;
  std::string function;
  unsigned bits;
};

// The kernel is about to be entered, and other traps are to notice it (calibration.hpp).
struct ProofTrap {
  std::size_t subject;
};

struct Trap {
  gdbproto::Point point;
  std::variant<EntryTrap, DispatchTrap, ReturnTrap, ImportTrap, FunctionTrap, ProofTrap> what;

  // After a breakpoint the vCPU has yet to execute the instruction; after a watchpoint of x86 it
  // has executed it.
  [[nodiscard]] bool is_breakpoint() const {
    return point.kind == gdbproto::PointKind::kSoftwareBreakpoint ||
           point.kind == gdbproto::PointKind::kHardwareBreakpoint;
  }
};

class TrapKind {
 public:
  virtual ~TrapKind() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "watch", "break"

  // What notices at least the syscalls in `demand`. kUnsupported or kNotFound says why this kind
  // cannot realise it here.
  [[nodiscard]] virtual Result<std::vector<Trap>> entry(os::GuestView& guest, os::OsModel& model,
                                                        const os::SyscallEntry& entry,
                                                        const SyscallDemand& demand) const = 0;
  // How returns of syscalls are noticed. No traps: points come and go with each thread's calls
  // (return_traps.hpp).
  [[nodiscard]] virtual Result<std::vector<Trap>> returns(os::OsModel& model) const = 0;
  [[nodiscard]] virtual Result<std::vector<Trap>> imports(VaRange slots) const = 0;
  [[nodiscard]] virtual Result<std::vector<Trap>> function(Va at, FunctionTrap what) const = 0;
};

// Those that are as cheap as others are preferred by this order.
[[nodiscard]] const std::vector<const TrapKind*>& trap_kinds();

[[nodiscard]] const TrapKind& watch_kind();
[[nodiscard]] const TrapKind& break_kind();
[[nodiscard]] const TrapKind& table_kind();
[[nodiscard]] const TrapKind& hardware_kind();

}  // namespace swat::daemon
