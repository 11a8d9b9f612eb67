#include "gdbproto/reply.hpp"

#include "gdbproto/hex.hpp"

namespace swat::gdbproto {

bool is_stop_reply(std::string_view payload) {
  return payload.size() >= 3 && (payload[0] == 'T' || payload[0] == 'S') &&
         parse_hex_number(payload.substr(1, 2)).has_value();
}

bool is_exit_reply(std::string_view payload) {
  return payload.size() >= 3 && (payload[0] == 'W' || payload[0] == 'X') &&
         parse_hex_number(payload.substr(1, 2)).has_value();
}

bool is_console_output(std::string_view payload) {
  return payload.starts_with('O') && payload != "OK";
}

bool is_error_reply(std::string_view payload) {
  return payload.size() == 3 && payload[0] == 'E' &&
         parse_hex_number(payload.substr(1)).has_value();
}

bool is_late_answer(std::string_view payload) {
  return payload.starts_with(kSyncAnswer) || payload.starts_with(kWhoAnswer);
}

tl::unexpected<Error> refused(std::string_view command, std::string_view reply,
                              std::optional<std::uint64_t> guest) {
  const std::string what(command.substr(0, 80));
  if (reply.empty()) return fail(Errc::kUnsupported, what + ": not known to the stub", guest);
  if (reply == kErrorFault) return fail(Errc::kFault, what + ": not readable", guest);
  const std::string answer(reply.substr(0, 40));
  if (is_error_reply(reply)) {
    return fail(Errc::kUnsupported, what + ": refused with " + answer, guest);
  }
  return fail(Errc::kProtocol, what + ": unexpected reply " + answer, guest);
}

}  // namespace swat::gdbproto
