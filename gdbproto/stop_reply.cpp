#include "gdbproto/stop_reply.hpp"

#include <limits>

#include "gdbproto/hex.hpp"

namespace swat::gdbproto {
namespace {

constexpr std::size_t kSignalDigits = 2;

tl::unexpected<Error> bad(std::string_view what, std::string_view text) {
  return fail(Errc::kProtocol, std::string(what) + ": " + std::string(text.substr(0, 80)));
}

Result<std::uint32_t> parse_id(std::string_view text) {
  const auto id = parse_hex_number(text);
  if (!id || *id > std::numeric_limits<std::uint32_t>::max()) return bad("bad thread id", text);
  return static_cast<std::uint32_t>(*id);
}

bool is_watch_key(std::string_view key) {
  return key == "watch" || key == "rwatch" || key == "awatch";
}

Result<> take_pair(StopReply& reply, std::string_view pair) {
  const std::size_t colon = pair.find(':');
  if (colon == std::string_view::npos) return bad("stop reply without a colon", pair);
  const std::string_view key = pair.substr(0, colon);
  const std::string_view value = pair.substr(colon + 1);
  if (key == "thread") {
    reply.thread = SWAT_TRY(ThreadId::parse(value));
  } else if (is_watch_key(key)) {
    const auto at = parse_hex_number(value);
    if (!at) return bad("bad watch address", value);
    reply.watch = Va{*at};
  }
  return {};
}

}  // namespace

std::string ThreadId::to_string() const {
  std::string text;
  if (process) {
    text.push_back('p');
    append_hex_number(text, *process, 2);
    text.push_back('.');
  }
  append_hex_number(text, thread, 2);
  return text;
}

Result<ThreadId> ThreadId::parse(std::string_view text) {
  if (!text.starts_with('p')) return ThreadId{std::nullopt, SWAT_TRY(parse_id(text))};
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return bad("bad thread id", text);
  return ThreadId{SWAT_TRY(parse_id(text.substr(1, dot - 1))),
                  SWAT_TRY(parse_id(text.substr(dot + 1)))};
}

Result<StopReply> StopReply::parse(std::string_view payload) {
  const char kind = payload.empty() ? '\0' : payload.front();
  const bool exited = kind == 'W' || kind == 'X';
  if (kind != 'T' && kind != 'S' && !exited) return bad("no stop reply", payload);
  const auto signal = payload.size() <= kSignalDigits
                          ? std::nullopt
                          : parse_hex_number(payload.substr(1, kSignalDigits));
  if (!signal) return bad("no stop reply", payload);

  StopReply reply;
  reply.signal = static_cast<std::uint8_t>(*signal);
  reply.exited = exited;
  if (kind != 'T') return reply;  // W and X may say `;process:PID`, which tells us nothing
  std::string_view pairs = payload.substr(1 + kSignalDigits);
  while (!pairs.empty()) {
    const std::size_t end = std::min(pairs.find(';'), pairs.size());
    if (end > 0) SWAT_CHECK(take_pair(reply, pairs.substr(0, end)));
    pairs.remove_prefix(std::min(end + 1, pairs.size()));
  }
  return reply;
}

}  // namespace swat::gdbproto
