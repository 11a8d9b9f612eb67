// QMP: one JSON object a line. [docs/interop/qmp-spec of QEMU]
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "gdbproto/link.hpp"
#include "symbols/result.hpp"

namespace swat::gdbproto {

class Qmp {
 public:
  using Millis = std::chrono::milliseconds;
  static constexpr Millis kReplyTimeout{5000};

  // `link` is connected and outlives this.
  explicit Qmp(Link& link) : link_(link) {}

  // Greeting and qmp_capabilities. kProtocol: not a QMP monitor; kTimeout: another client holds it.
  [[nodiscard]] Result<> handshake();
  [[nodiscard]] const std::string& version() const { return version_; }  // "7.2.22"

  // `arguments` is JSON text, "" for none; the `return` member as JSON text. QEMU's own error
  // becomes kUnsupported with its description. Events that come in between are queued.
  [[nodiscard]] Result<std::string> execute(std::string_view command,
                                            std::string_view arguments = {});
  // HMP through human-monitor-command: its text.
  [[nodiscard]] Result<std::string> monitor(std::string_view command);
  // query-status: "running", "paused", "debug", "prelaunch", ...
  [[nodiscard]] Result<std::string> run_state();

  // Events are kept up to a bound; then the oldest goes. QEMU sends two for every stop of the
  // guest, and buffers without bound what is not read: whoever traces and holds a monitor reads it
  // too.
  static constexpr std::size_t kMaxEvents = 4096;
  [[nodiscard]] std::uint64_t events_dropped() const { return events_dropped_; }
  void forget_events() { events_.clear(); }
  // The next event's name ("STOP", "RESET", "SHUTDOWN"), or kTimeout.
  [[nodiscard]] Result<std::string> next_event(Millis timeout);

 private:
  static constexpr std::size_t kMaxLine = 16 << 20;  // `info mtree -f` of a big machine: 1 MB

  [[nodiscard]] Result<std::string> next_line(Millis timeout);
  [[nodiscard]] Result<nlohmann::json> next_message(Millis timeout);
  // True when `message` was an event, which is then queued.
  bool take_event(const nlohmann::json& message);

  Link& link_;
  std::string buffer_;
  std::size_t scanned_ = 0;  // no line end of buffer_ lies before this
  std::string version_;
  std::deque<std::string> events_;
  std::uint64_t events_dropped_ = 0;
  std::uint64_t last_id_ = 0;
};

}  // namespace swat::gdbproto
