// Which function a read of an import slot led to.
#pragma once

#include <optional>
#include <string>

#include "daemon/logged_function.hpp"
#include "daemon/process_table.hpp"

namespace swat::daemon {

// Where a vCPU stands just after it has read a slot.
struct CallSite {
  Va watch;          // start of the watched span
  Va pc;             // the callee's first instruction, or whatever follows a plain load
  Va fault_address;  // CR2: the callee, when its page was absent and PC is in the fault handler
  bool in_kernel = false;
  std::optional<Va> return_address;
  Va sp = {};  // where the return address lies; null: in no word of the stack
};

struct Call {
  Va address;
  std::string function;  // "a|b" where two imports lead to one address and nothing tells
  std::string module;    // that holds the function; empty when not known
  std::string caller_module;
  std::optional<Va> return_address;
  std::optional<CallFrame> frame;
};

// nullopt: no call. The slot was loaded as data, or belongs to no module any more. Reads slots anew
// when their targets have changed.
[[nodiscard]] std::optional<Call> resolve_call(ProcessView& view, VirtualMemory& memory,
                                               const CallSite& site);

// The same where the slot itself is known, and what it leads to.
[[nodiscard]] std::optional<Call> resolve_slot(const ProcessView& view, Va slot, Va callee,
                                               std::optional<Va> return_address);

// Whether some import slot of the process leads to `target` now, or has led there. Reads the slots
// of all its modules when none is known to: a slot may have been bound a moment ago.
[[nodiscard]] bool is_import_target(ProcessView& view, VirtualMemory& memory, Va target);

// The word through which the call that returns to `return_address` went: call *slot, or a call of a
// PLT stub. kNotFound when the code there is neither.
[[nodiscard]] Result<Va> slot_of_call(VirtualMemory& memory, Va return_address);
// Whether the instruction that returns to `return_address` calls `entry` itself, directly or
// through a slot; if not, what it calls has jumped there (a tail call). kNotFound: it calls through
// a register or a pointer, which may be others by now. x86_64 only.
[[nodiscard]] Result<bool> is_called_from(VirtualMemory& memory, Va return_address, Va entry);
// What the instruction before `next` has read or written, if it is addressed by disp(%rip) with
// nothing behind the displacement, as in mov slot(%rip),%reg: a guess, as the bytes may be other
// instructions'. x86_64 only. The guest stands still.
[[nodiscard]] Result<Va> address_of_load(VirtualMemory& memory, Va next);
// The word through which the PLT stub at `stub` goes: [endbr] [bnd] jmp *disp(%rip). kNotFound: it
// is none.
[[nodiscard]] Result<Va> slot_of_stub(VirtualMemory& memory, Va stub);

}  // namespace swat::daemon
