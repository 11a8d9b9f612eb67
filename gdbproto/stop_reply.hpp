// Stop replies: why the guest stands still. [GDB manual, "Stop Reply Packets"]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "symbols/address.hpp"
#include "symbols/result.hpp"

namespace swat::gdbproto {

// A vCPU, as QEMU numbers them: cpu_index + 1. `process` is set on multiprocess stubs ("p01.02").
struct ThreadId {
  std::optional<std::uint32_t> process;
  std::uint32_t thread = 1;

  friend bool operator==(const ThreadId&, const ThreadId&) = default;
  [[nodiscard]] std::string to_string() const;  // as the stub spells it
  [[nodiscard]] static Result<ThreadId> parse(std::string_view text);
};

struct StopReply {
  std::uint8_t signal = 0;         // 5: a trap of ours; 2: interrupted
  std::optional<ThreadId> thread;  // absent in some replies (QEMU 11.1's answer to `?`)
  std::optional<Va> watch;         // start of the watched span, for watchpoint stops
  bool exited = false;             // W/X: QEMU is ending

  // Unknown keys are passed over. kProtocol when it is no stop reply.
  [[nodiscard]] static Result<StopReply> parse(std::string_view payload);
};

}  // namespace swat::gdbproto
