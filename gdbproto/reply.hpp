// What kind of packet came back, told by its first characters; and how a refusal is reported.
#pragma once

#include <string_view>

#include "symbols/result.hpp"

namespace swat::gdbproto {

// Packets that answer nothing, in a row, before the peer is taken for broken.
inline constexpr unsigned kMaxStrays = 4096;

// A question whose answer looks like no other, to find one's place in the stream again. It reads a
// constant, in every state of the stub. [QEMU gdbstub, handle_query_qemu_sstepbits]
inline constexpr std::string_view kSyncQuestion = "qqemu.sstepbits";
inline constexpr std::string_view kSyncAnswer = "ENABLE=";
// The same for "has the guest stopped", because the answer names the vCPU. [GDB manual, qC]
inline constexpr std::string_view kWhoQuestion = "qC";
inline constexpr std::string_view kWhoAnswer = "QC";

// "T05thread:01;" or "S05": no other reply starts like that.
[[nodiscard]] bool is_stop_reply(std::string_view payload);
// "W00" or "X09": QEMU is ending.
[[nodiscard]] bool is_exit_reply(std::string_view payload);
// "O" and hex: text for the user, at any time.
[[nodiscard]] bool is_console_output(std::string_view payload);
// "E14"
[[nodiscard]] bool is_error_reply(std::string_view payload);
// Late answer to one of the questions above.
[[nodiscard]] bool is_late_answer(std::string_view payload);

// QEMU's code for memory that is not there. [QEMU gdbstub, handle_read_mem]
inline constexpr std::string_view kErrorFault = "E14";

// The error for a reply to `command` that is not what was hoped for.
[[nodiscard]] tl::unexpected<Error> refused(std::string_view command, std::string_view reply,
                                            std::optional<std::uint64_t> guest = {});

}  // namespace swat::gdbproto
