#include "gdbproto/qmp.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace swat::gdbproto {
namespace {

using nlohmann::json;

constexpr unsigned kMaxDepth = 128;         // of nested JSON: QEMU's own replies stay below 20
constexpr unsigned kMaxPieces = 1 << 16;    // receives that one line may take
constexpr unsigned kMaxMessages = 1 << 16;  // events and late replies before the one waited for

tl::unexpected<Error> bad(std::string what) {
  return fail(Errc::kProtocol, "QMP: " + std::move(what));
}

// Before parsing, because the library recurses when it writes JSON.
bool too_deep(std::string_view text) {
  unsigned depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if ((c == '{' || c == '[') && ++depth > kMaxDepth) return true;
    if ((c == '}' || c == ']') && depth > 0) --depth;
  }
  return false;
}

Result<json> parse_object(std::string_view text) {
  if (too_deep(text)) return bad("nested too deep");
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return bad("not an object: " + std::string(text.substr(0, 80)));
  return parsed;
}

// Null where a member is missing, or what should hold it is no object.
const json* member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(name);
  return at == object.end() ? nullptr : &*at;
}

std::string text_of(const json* value) {
  return value != nullptr && value->is_string() ? value->get_ref<const std::string&>() : "";
}

std::string to_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "..."}, ...}}
std::string version_of(const json& qmp) {
  const json* version = member(qmp, "version");
  const json* qemu = version == nullptr ? nullptr : member(*version, "qemu");
  std::string text;
  for (const char* part : {"major", "minor", "micro"}) {
    const json* number = qemu == nullptr ? nullptr : member(*qemu, part);
    if (number == nullptr || !number->is_number_unsigned()) return "";
    if (!text.empty()) text.push_back('.');
    text += std::to_string(number->get<std::uint64_t>());
  }
  return text;
}

}  // namespace

Result<> Qmp::handshake() {
  auto first = next_message(kReplyTimeout);
  // A peer that says something else first, and no line of it: a gdbstub, say.
  if (!first && first.error().code == Errc::kTimeout && !buffer_.empty()) return bad("no greeting");
  const json greeting = SWAT_TRY(std::move(first));
  const json* qmp = member(greeting, "QMP");
  if (qmp == nullptr) return bad("no greeting");
  version_ = version_of(*qmp);
  if (version_.empty()) return bad("greeting without a version");
  SWAT_CHECK(execute("qmp_capabilities"));
  return {};
}

Result<std::string> Qmp::execute(std::string_view command, std::string_view arguments) {
  json request{{"execute", command}, {"id", ++last_id_}};
  if (!arguments.empty()) {
    const Result<json> parsed = parse_object(arguments);
    if (!parsed) return fail(Errc::kUsage, "arguments of " + std::string(command) + ": bad JSON");
    request["arguments"] = *parsed;
  }
  SWAT_CHECK(link_.send(to_text(request) + "\n"));
  for (unsigned i = 0; i < kMaxMessages; ++i) {
    const json message = SWAT_TRY(next_message(kReplyTimeout));
    if (take_event(message)) continue;
    const json* id = member(message, "id");
    const bool ours = id != nullptr && *id == last_id_;
    if (const json* error = member(message, "error")) {
      // A request that QEMU could not even parse comes back without its id.
      if (!ours && id != nullptr) continue;
      return fail(Errc::kUnsupported,
                  std::string(command) + ": " + text_of(member(*error, "desc")));
    }
    const json* value = member(message, "return");
    if (value == nullptr) return bad("neither a reply nor an event");
    if (ours) return to_text(*value);  // else: late, to a command whose wait was given up
  }
  return bad("no reply among many messages");
}

Result<std::string> Qmp::monitor(std::string_view command) {
  const std::string arguments = to_text(json{{"command-line", command}});
  const std::string reply = SWAT_TRY(execute("human-monitor-command", arguments));
  const json text = json::parse(reply, nullptr, /*allow_exceptions=*/false);
  if (!text.is_string()) return bad("human-monitor-command returned no text");
  return text.get<std::string>();
}

Result<std::string> Qmp::run_state() {
  const json status = SWAT_TRY(parse_object(SWAT_TRY(execute("query-status"))));
  std::string state = text_of(member(status, "status"));
  if (state.empty()) return bad("query-status without a status");
  return state;
}

Result<std::string> Qmp::next_event(Millis timeout) {
  for (unsigned i = 0; i < kMaxMessages && events_.empty(); ++i) {
    take_event(SWAT_TRY(next_message(timeout)));
  }
  if (events_.empty()) return bad("no event among many messages");
  std::string event = std::move(events_.front());
  events_.pop_front();
  return event;
}

bool Qmp::take_event(const json& message) {
  const json* event = member(message, "event");
  if (event == nullptr) return false;
  if (events_.size() == kMaxEvents) {
    events_.pop_front();
    ++events_dropped_;
  }
  events_.push_back(text_of(event));
  return true;
}

Result<json> Qmp::next_message(Millis timeout) {
  return parse_object(SWAT_TRY(next_line(timeout)));
}

Result<std::string> Qmp::next_line(Millis timeout) {
  for (unsigned piece = 0; piece < kMaxPieces; ++piece) {
    const std::size_t end = buffer_.find('\n', scanned_);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      scanned_ = 0;
      return line;
    }
    scanned_ = buffer_.size();
    if (buffer_.size() > kMaxLine) {
      buffer_.clear();
      scanned_ = 0;
      return bad("line without end");
    }
    SWAT_CHECK(link_.receive(buffer_, timeout));
  }
  return bad("a line in too many pieces");
}

}  // namespace swat::gdbproto
