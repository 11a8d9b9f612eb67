// What swatd logs: one event model for every sink (DESIGN.md section 5).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "osmodels/model.hpp"
#include "osmodels/syscall_decoder.hpp"

namespace swat::daemon {

// A syscall, at its entry: the kernel has not run yet.
struct SyscallEvent {
  std::string_view mnemonic;  // how the guest entered, as SWAT writes it: syscall, sysenter, int80
  std::uint64_t number = 0;
  std::string_view name;  // empty: not in the table
  // As many as it takes, where that is known. None: not read.
  std::vector<std::optional<std::uint64_t>> arguments = {};
  std::vector<os::Argument> decoded = {};  // where that is asked for, and what it takes is known
};

// The end of a syscall. Every syscall event has one, and the child of a fork one of its own.
struct ReturnEvent {
  enum class Outcome {
    kReturned,     // to its caller, or for execve into the new image
    kInChild,      // of fork and its kin, in the new thread; noticed with that thread's first event
    kInterrupted,  // a signal has come; the caller will see EINTR, or the call starts once more
    kNever,        // exit and exit_group do not; nor does a function in which execve succeeds
    kDied,         // the thread was killed in it, or has ended in this function
    kUnfinished,   // tracing has ended first
    kMissed,       // it has returned, and we have not seen it
    kUnwound,      // of a function: longjmp, or an exception, has left it
  };

  std::uint64_t call = 0;  // sequence number of the syscall's event; of the parent's, in a child
  std::string_view mnemonic;
  std::uint64_t number = 0;
  std::string_view name;               // empty: not in the table
  std::optional<std::int64_t> result;  // as a tracer in the guest sees it: -ERESTARTSYS, not EINTR
  // "ENOENT"; of an NTSTATUS any but success: "STATUS_PENDING". Empty: none, or without a name.
  std::string_view error;
  Outcome outcome = Outcome::kReturned;
  // From the entry's stop to that of the return, which includes what tracing costs; and by the
  // guest's clock at its last ticks. None: not measured.
  std::optional<std::chrono::nanoseconds> duration;
  std::optional<std::chrono::nanoseconds> guest_duration;
  std::vector<os::Argument> written = {};  // what the kernel has written for its caller
};

[[nodiscard]] std::string_view to_string(ReturnEvent::Outcome outcome);

// A function that is about to run its first instruction.
struct CallEvent {
  Va address;
  std::string function;
  std::string module;        // that holds the function; empty when not known
  std::optional<Va> caller;  // return address
  std::string caller_module;
};

// The end of a function's call. Where they are asked for, every call event has one.
struct CallReturnEvent {
  using Outcome = ReturnEvent::Outcome;

  std::uint64_t call = 0;  // sequence number of the call's event
  Va address;
  std::string function;
  std::string module;
  // The result register as it is: what of it counts depends on the function's type. Of one that
  // returns an int the upper half is left over from something else.
  std::optional<std::uint64_t> result;
  Outcome outcome = Outcome::kReturned;
  std::optional<std::chrono::nanoseconds> duration;  // as those of a syscall
  std::optional<std::chrono::nanoseconds> guest_duration;
};

struct ModuleEvent {
  bool loaded = true;
  os::Module module;
};

struct ProcessEvent {
  bool started = true;
  std::uint32_t parent_pid = 0;
  std::string path;  // of the executable
};

// Events that are missing, and why. Nothing is dropped in silence.
struct GapEvent {
  std::uint64_t count = 0;  // 0: not known how many
  std::string reason;
};

struct Event {
  std::uint64_t sequence = 0;
  std::chrono::system_clock::time_point host_time;
  std::optional<std::uint64_t> guest_time_ns;  // since 1970, by the guest's clock at its last tick
  unsigned vcpu = 0;
  Pa address_space;  // root of the process's page table
  std::uint32_t pid = 0;
  std::uint32_t tid = 0;
  std::string process;  // name
  std::variant<SyscallEvent, ReturnEvent, CallEvent, CallReturnEvent, ModuleEvent, ProcessEvent,
               GapEvent>
      what;
};

}  // namespace swat::daemon
