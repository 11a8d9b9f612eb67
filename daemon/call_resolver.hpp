// Which function a read of an import slot led to.
#pragma once

#include <optional>
#include <string>

#include "daemon/process_table.hpp"

namespace swat::daemon {

// Where a vCPU stands just after it has read a slot.
struct CallSite {
  Va watch;          // start of the watched span
  Va pc;             // the callee's first instruction, or whatever follows a plain load
  Va fault_address;  // CR2: the callee, when its page was absent and PC is in the fault handler
  bool in_kernel = false;
  std::optional<Va> return_address;
};

struct Call {
  Va address;
  std::string function;  // "a|b" where two imports lead to one address and nothing tells
  std::string module;    // that holds the function; empty when not known
  std::string caller_module;
  std::optional<Va> return_address;
};

// nullopt: no call. The slot was loaded as data, or belongs to no module any more. Reads slots anew
// when their targets have changed.
[[nodiscard]] std::optional<Call> resolve_call(ProcessView& view, VirtualMemory& memory,
                                               const CallSite& site);

// Whether some import slot of the process leads to `target` now, or has led there. Reads the slots
// of all its modules when none is known to: a slot may have been bound a moment ago.
[[nodiscard]] bool is_import_target(ProcessView& view, VirtualMemory& memory, Va target);

// The word through which the call that returns to `return_address` went: call *slot, or a call of a
// PLT stub. kNotFound when the code there is neither.
[[nodiscard]] Result<Va> slot_of_call(VirtualMemory& memory, Va return_address);
// The word through which the PLT stub at `stub` goes: [endbr] [bnd] jmp *disp(%rip). kNotFound: it
// is none.
[[nodiscard]] Result<Va> slot_of_stub(VirtualMemory& memory, Va stub);

}  // namespace swat::daemon
