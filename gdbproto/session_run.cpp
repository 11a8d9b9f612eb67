// Run control of a Session. While the guest runs, not one byte goes to QEMU but what is meant to
// stop it: any byte would (facts: 3.1).
#include <algorithm>

#include "gdbproto/hex.hpp"
#include "gdbproto/reply.hpp"
#include "gdbproto/session.hpp"

namespace swat::gdbproto {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kInterrupt = "\x03";
constexpr std::string_view kMonitorCont = "qRcmd,636f6e74";  // HMP `cont`
constexpr std::string_view kAckAndInterrupt = "+\x03";
constexpr Session::Millis kPatience = 1000ms;  // between attempts to interrupt
constexpr unsigned kLastAttempt = 4;
constexpr unsigned kMaxStraysPerWait = 64;  // then the caller gets its turn
constexpr std::uint8_t kSignalTrap = 5;
constexpr std::uint8_t kSignalInterrupt = 2;

// "0x7"
bool is_short_hex(std::string_view text) {
  return text.starts_with("0x") && text.size() > 2 && text.size() <= 4 &&
         text.find_first_not_of("0123456789abcdef", 2) == std::string_view::npos;
}

}  // namespace

// `packet` gets no reply of its own, and is the last of the write.
Result<> Session::start(std::string_view packet) {
  append_packet(outbox_, packet);
  ++stats_.packets_sent;
  SWAT_CHECK(flush());
  if (stopped_at_) stats_.held += std::chrono::steady_clock::now() - *stopped_at_;
  stopped_at_.reset();
  running_ = true;
  stops_silently_ = false;
  attempts_ = 0;
  unanswered_ = 0ms;
  return {};
}

// `cont` has a reply, which is sent once the guest runs: it is read at the next stop.
Result<> Session::resume_all() {
  if (!silent_) return start("c");
  SWAT_CHECK(start(kMonitorCont));
  stops_silently_ = true;
  ++owed_replies_;
  return {};
}

Result<> Session::resume(const PointChanges& changes) {
  SWAT_CHECK(ready());
  queue_changes(changes);
  SWAT_CHECK(resume_all());
  return take_changes(changes);
}

Result<> Session::resume_at(ThreadId thread, Va at) {
  return write_registers_and_resume_at(thread, {}, at);
}

Result<> Session::write_registers_and_resume_at(ThreadId thread,
                                                std::span<const RegisterWrite> writes, Va at) {
  SWAT_CHECK(ready());
  std::size_t oks = writes.empty() ? 0 : select(thread) + writes.size();
  for (const RegisterWrite& write : writes) queue_write(write);
  if (current_ != thread) {
    queue("Hc" + thread.to_string());
    current_ = thread;
    ++oks;
  }
  std::string packet = "c";
  append_hex_number(packet, at.value);
  SWAT_CHECK(start(packet));
  return expect_ok("P and Hc", oks);
}

Result<> Session::write_registers_and_resume(ThreadId thread,
                                             std::span<const RegisterWrite> writes) {
  SWAT_CHECK(ready());
  const std::size_t oks = select(thread) + writes.size();
  for (const RegisterWrite& write : writes) queue_write(write);
  SWAT_CHECK(resume_all());
  return expect_ok("P", oks);
}

Result<> Session::step(ThreadId thread) {
  SWAT_CHECK(ready());
  return start("vCont;s:" + thread.to_string());
}

// `s` with the flags of a step at 0 is a resume that ends steps. The '$' behind it is swallowed and
// stops the guest before it has executed an instruction, as after `D`; whether QEMU tells of that
// stop depends on its version.
Result<> Session::end_steps() {
  SWAT_CHECK(ready());
  if (threads_.size() < 2) return {};
  const std::string flags = SWAT_TRY(ask("qqemu.sstep"));
  if (!is_short_hex(flags)) return refused("qqemu.sstep", flags);
  queue("Qqemu.sstep=0");
  SWAT_CHECK(flush());
  SWAT_CHECK(expect_ok("Qqemu.sstep"));
  append_packet(outbox_, "vCont;s");
  ++stats_.packets_sent;
  outbox_.push_back('$');
  SWAT_CHECK(flush());
  queue("Qqemu.sstep=" + flags.substr(2));
  SWAT_CHECK(flush());
  return expect_ok("Qqemu.sstep");
}

// --- Stops

Result<> Session::interrupt() {
  if (over_ || !running_) return fail(Errc::kUsage, "the guest is not running");
  if (attempts_ > 0) return {};  // wait_stop() sees to it
  attempts_ = 1;
  unanswered_ = 0ms;
  if (stops_silently_) return silent_->pause();
  return send_raw(kInterrupt);
}

// Nothing has answered 0x03. In the order of what may be the cause:
// 1. a reply that we have not acked makes QEMU drop all but '+' and '$' (facts: 3.3): ack it first;
// 2. the guest has stopped without telling us (QMP `stop` since 8.1, or that '+'): then it answers
//    questions. If it has not, the '$' of the first question stops it and is lost with its packet.
Result<> Session::escalate() {
  unanswered_ = 0ms;
  if (attempts_ == kLastAttempt) return {};
  ++attempts_;
  return send_raw(attempts_ == 2 ? std::string(kAckAndInterrupt) : encode_packet(kWhoQuestion));
}

Result<StopReply> Session::wait_stop(Millis timeout) {
  if (over_ || !running_) return fail(Errc::kUsage, "the guest is not running");
  if (stops_silently_) return wait_silent_stop(timeout);
  Millis left = timeout;
  for (unsigned strays = 0; strays < kMaxStraysPerWait;) {
    const Millis slice = attempts_ == 0 ? left : std::min(left, kPatience - unanswered_);
    const Result<std::string> payload = next_packet(slice);
    if (payload) {
      if (const auto stop = SWAT_TRY(judge(*payload))) return *stop;
      ++strays;
      continue;
    }
    if (payload.error().code != Errc::kTimeout) return tl::unexpected<Error>(payload.error());
    left -= slice;
    if (attempts_ > 0) unanswered_ += slice;
    if (unanswered_ >= kPatience) SWAT_CHECK(escalate());
    if (left <= 0ms) break;
  }
  return fail(Errc::kTimeout, "the guest runs on");
}

// nullopt: nothing to do with the guest's stopping.
Result<std::optional<StopReply>> Session::judge(std::string_view payload) {
  if (is_stop_reply(payload) || is_exit_reply(payload)) {
    return accept(SWAT_TRY(StopReply::parse(payload)));
  }
  if (attempts_ > 2 && payload.starts_with(kWhoAnswer)) {
    StopReply stop;
    stop.signal = kSignalInterrupt;
    stop.thread = SWAT_TRY(ThreadId::parse(payload.substr(kWhoAnswer.size())));
    return accept(stop);
  }
  if (is_console_output(payload) || is_late_answer(payload)) return std::nullopt;
  if (owed_replies_ > 0) {  // of an exchange that was cut short after the resume
    --owed_replies_;
    return std::nullopt;
  }
  if (!payload.empty() && !is_error_reply(payload)) return refused("waiting for a stop", payload);
  running_ = false;  // the resume itself was refused
  return refused("resuming the guest", payload);
}

// At a trap QEMU itself selects the vCPU, for Hg and Hc alike. [QEMU gdbstub, gdb_set_stop_cpu]
StopReply Session::accept(const StopReply& stop) {
  running_ = false;
  attempts_ = 0;
  unanswered_ = 0ms;
  ++stats_.stops;
  stopped_at_ = std::chrono::steady_clock::now();
  selected_ = stop.signal == kSignalTrap ? stop.thread : std::nullopt;
  current_ = selected_;
  return stop;
}

// --- Silent runs

Result<> Session::run_silently(Qmp& monitor) {
  SWAT_CHECK(ready());
  if (has_watched_) return fail(Errc::kUsage, "a watchpoint that is hit silently stays hit");
  silent_.emplace(monitor);
  return {};
}

// Running silently it would have nobody left to tell of its stop.
void Session::run_reported() {
  if (!running_ || !stops_silently_) silent_.reset();
}

void Session::note_insert(const Point& point) {
  if (point.kind == PointKind::kSoftwareBreakpoint ||
      point.kind == PointKind::kHardwareBreakpoint) {
    return;
  }
  has_watched_ = true;
  silent_.reset();
}

// QEMU has selected a vCPU that has hit something; with several there is no telling which.
Result<StopReply> Session::wait_silent_stop(Millis timeout) {
  const StopReply stop = SWAT_TRY(silent_->wait(timeout));
  const auto selected = threads_.size() == 1 ? selected_ : std::nullopt;
  accept(stop);
  selected_ = selected;
  // More than that one is owed: ready() sees to it.
  if (owed_replies_ == 1) SWAT_CHECK(expect_ok("qRcmd"));
  return stop;
}

// --- The end

Result<> Session::detach(bool leave_paused) {
  if (over_) return fail(Errc::kUsage, "the session is over");
  Result<> stopped = stop_for_detach();
  if (stopped && has_watched_) stopped = forget_watched_pages();
  over_ = true;
  if (!stopped) return stopped;
  std::size_t oks = address_mode(false) + 1;
  std::string packet = "D";
  if (process_) {
    packet.push_back(';');
    append_hex_number(packet, *process_);
  }
  queue(packet);
  // `D` resumes the guest. The '$' after it is swallowed and stops the guest again before it has
  // executed an instruction (facts: 3.1).
  if (leave_paused) outbox_.push_back('$');
  SWAT_CHECK(flush());
  return expect_ok("D", oks);
}

// `D` must find the guest stopped, and must be sent once: after a second one QEMU crashes.
Result<> Session::stop_for_detach() {
  if (running_) {
    SWAT_CHECK(interrupt());
    const StopReply stop = SWAT_TRY(wait_stop(kReplyTimeout));
    if (stop.exited) return fail(Errc::kDisconnected, "QEMU is ending");
  }
  return ready();
}

}  // namespace swat::gdbproto
