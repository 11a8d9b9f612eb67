// The conversation itself: what is owed, the handshake, registers. Memory and breakpoints are in
// session_memory.cpp, run control in session_run.cpp.
//
// Commands are queued, sent in one write, and their replies read in order. An exchange may be cut
// short (a signal, a timeout, an error half way): then `owed_replies_` is not 0, and the next
// command first resynchronises.
#include "gdbproto/session.hpp"

#include <algorithm>
#include <cctype>

#include "gdbproto/hex.hpp"
#include "gdbproto/reply.hpp"

namespace swat::gdbproto {
namespace {

constexpr std::size_t kMinPacketSize = 0x100;  // less, and not even a breakpoint command fits well
constexpr std::size_t kMaxPacketSize = 0x80000;  // its hex reply still fits FrameDecoder::kMaxFrame
constexpr std::size_t kMaxAnnexBytes = 1 << 20;
constexpr std::size_t kMaxVcpus = 1024;
constexpr unsigned kMaxNacks = 2;
// A frame that needs more pieces than this comes from no QEMU (131 KB come in less than 100).
constexpr unsigned kMaxPieces = 1 << 17;
constexpr std::size_t kMaxMonitorBytes = 16 << 20;

tl::unexpected<Error> bad(std::string what) { return fail(Errc::kProtocol, std::move(what)); }

// What an annex of QEMU's is called; it goes back onto the wire, so nothing else passes.
bool is_annex_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  });
}

}  // namespace

// --- What is owed

Result<> Session::ready() {
  if (over_) return fail(Errc::kUsage, "the session is over");
  if (running_) return fail(Errc::kUsage, "the guest is running");
  // Whatever an error left half queued was never sent.
  outbox_.clear();
  queued_replies_ = 0;
  return owed_replies_ == 0 ? Result<>{} : resync();
}

void Session::queue(std::string_view payload) {
  append_packet(outbox_, payload);
  ++queued_replies_;
}

Result<> Session::flush() {
  stats_.packets_sent += queued_replies_;
  owed_replies_ += queued_replies_;
  queued_replies_ = 0;
  Result<> sent = send_raw(outbox_);
  outbox_.clear();
  return sent;
}

Result<> Session::send_raw(std::string_view bytes) {
  stats_.bytes_sent += bytes.size();
  return link_.send(bytes);
}

Result<Frame> Session::next_frame(Millis timeout) {
  for (unsigned piece = 0; piece < kMaxPieces; ++piece) {
    auto frame = SWAT_TRY(frames_.next());
    if (frame) return *std::move(frame);
    inbox_.clear();
    SWAT_CHECK(link_.receive(inbox_, timeout));
    stats_.bytes_received += inbox_.size();
    frames_.feed(inbox_);
  }
  return bad("a packet in too many pieces");
}

Result<std::string> Session::next_packet(Millis timeout) {
  for (unsigned stray = 0; stray < kMaxStrays; ++stray) {
    Frame frame = SWAT_TRY(next_frame(timeout));
    if (frame.kind == Frame::Kind::kPacket) return std::move(frame.payload);
    // QEMU answers '-' to a packet that arrived damaged, which TCP rules out.
    if (frame.kind == Frame::Kind::kNack) return bad("the stub refused a packet's checksum");
  }
  return bad("acks without end");
}

Result<std::string> Session::next_reply() {
  for (unsigned stray = 0; stray < kMaxStrays; ++stray) {
    std::string payload = SWAT_TRY(next_packet(kReplyTimeout));
    if (is_exit_reply(payload)) return fail(Errc::kDisconnected, "QEMU is ending");
    if (is_stop_reply(payload) || is_console_output(payload) || is_late_answer(payload)) continue;
    owed_replies_ -= std::min<std::size_t>(owed_replies_, 1);
    return payload;
  }
  return bad("packets that answer nothing, without end");
}

Result<std::string> Session::ask(std::string_view payload) {
  queue(payload);
  SWAT_CHECK(flush());
  return next_reply();
}

Result<> Session::expect_ok(std::string_view of) {
  const std::string reply = SWAT_TRY(next_reply());
  if (reply == "OK") return {};
  selected_.reset();
  current_.reset();
  return refused(of, reply);
}

Result<> Session::expect_ok(std::string_view of, std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) SWAT_CHECK(expect_ok(of));
  return {};
}

// Replies of an exchange that was cut short may or may not still come; the probe's comes after
// them. Two attempts: if the guest was resumed behind our back, the first '$' stops it and is lost
// with its packet.
Result<> Session::resync() {
  selected_.reset();
  current_.reset();
  const std::string probe = encode_packet(kSyncQuestion);
  for (unsigned attempt = 0; attempt < 2; ++attempt) {
    SWAT_CHECK(send_raw(probe));
    ++stats_.packets_sent;
    for (unsigned stray = 0; stray < kMaxStrays; ++stray) {
      const Result<std::string> payload = next_packet(kReplyTimeout);
      if (!payload && payload.error().code == Errc::kTimeout) break;
      if (!payload) return tl::unexpected<Error>(payload.error());
      if (!payload->starts_with(kSyncAnswer)) continue;
      owed_replies_ = 0;
      return {};
    }
  }
  return fail(Errc::kTimeout, "the stub answers no more");
}

// --- Handshake

Result<> Session::handshake() {
  SWAT_CHECK(ready());
  const Result<std::string> features = first_answer();
  if (!features) {
    if (features.error().code == Errc::kTimeout) SWAT_CHECK(leave_queue());
    return tl::unexpected<Error>(features.error());
  }
  SWAT_CHECK(take_features(*features));
  const std::string xml = SWAT_TRY(fetch_annex("target.xml"));
  target_ = SWAT_TRY(
      TargetDescription::parse(xml, [this](std::string_view annex) { return fetch_annex(annex); }));
  return list_threads();
}

// A client that died within a packet leaves QEMU waiting for the rest of it: then our first packet
// is taken for that rest, and refused with '-'. `multiprocess+` is not asked for: QEMU would keep
// it for every later client (facts: 3.6).
Result<std::string> Session::first_answer() {
  const std::string packet = encode_packet("qSupported");
  for (unsigned nacks = 0; nacks <= kMaxNacks; ++nacks) {
    SWAT_CHECK(send_raw(packet));
    ++stats_.packets_sent;
    for (unsigned stray = 0; stray < kMaxStrays; ++stray) {
      Frame frame = SWAT_TRY(next_frame(kReplyTimeout));
      if (frame.kind == Frame::Kind::kNack) break;
      if (frame.kind == Frame::Kind::kAck) continue;
      if (!is_stop_reply(frame.payload)) return std::move(frame.payload);
      saw_connect_stop_ = true;
    }
  }
  return bad("the stub refuses every packet");
}

// Nobody answers: QEMU serves another client, and our connection waits in the listen queue. When
// that client goes, QEMU accepts ours, though we have closed it long ago, and stops the guest for
// it; then it reads what it was sent. So the last that it reads lets the guest run again. Not `D`,
// which would also take out what the other client may have left on purpose.
// [tests/e2e/test_busy.py; QEMU 7.2 and 11.1, tcp and unix, closed, reset and half closed]
Result<> Session::leave_queue() {
  over_ = true;
  ++stats_.packets_sent;
  return send_raw(encode_packet("c"));
}

Result<> Session::take_features(std::string_view features) {
  bool has_xml = false;
  bool has_size = false;
  while (!features.empty()) {
    const std::size_t end = std::min(features.find(';'), features.size());
    const std::string_view feature = features.substr(0, end);
    features.remove_prefix(std::min(end + 1, features.size()));
    constexpr std::string_view kSize = "PacketSize=";
    if (feature == "qXfer:features:read+") has_xml = true;
    if (!feature.starts_with(kSize)) continue;
    const auto size = parse_hex_number(feature.substr(kSize.size()));
    if (!size || *size < kMinPacketSize) return bad("bad packet size");
    packet_size_ = std::min<std::size_t>(*size, kMaxPacketSize);
    has_size = true;
  }
  if (!has_xml || !has_size) return bad("no gdbstub of QEMU's: it has no target.xml");
  is_stub_ = true;
  return {};
}

// Besides the text this has a side effect: until the first one, QEMU 7.2 answers no `p` and `P`
// (facts: 3.5). [GDB manual, "qXfer read"]
Result<std::string> Session::fetch_annex(std::string_view annex) {
  if (!is_annex_name(annex)) return bad("target.xml includes a strange name");
  std::string text;
  while (text.size() <= kMaxAnnexBytes) {
    std::string question = "qXfer:features:read:" + std::string(annex) + ":";
    append_hex_number(question, text.size());
    question.push_back(',');
    append_hex_number(question, packet_size_ / 2);
    const std::string reply = SWAT_TRY(ask(question));
    const bool last = reply.starts_with('l');
    if (!last && !reply.starts_with('m')) return refused(question, reply);
    if (!last && reply.size() == 1) return bad(question + ": an empty piece");
    text.append(reply, 1);
    if (last) return text;
  }
  return bad("target.xml is too long");
}

// QEMU names one vCPU an answer, other stubs several, with commas.
Result<> Session::list_threads() {
  threads_.clear();
  std::string reply = SWAT_TRY(ask("qfThreadInfo"));
  while (reply.starts_with('m')) {
    std::string_view rest = std::string_view(reply).substr(1);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(','), rest.size());
      threads_.push_back(SWAT_TRY(ThreadId::parse(rest.substr(0, end))));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (threads_.size() > kMaxVcpus) return bad("too many vCPUs");
    }
    if (reply.size() == 1) return bad("qfThreadInfo: an empty piece");
    reply = SWAT_TRY(ask("qsThreadInfo"));
  }
  if (reply != "l") return refused("qfThreadInfo", reply);
  if (threads_.empty()) return bad("no vCPUs");
  process_ = threads_.front().process;
  return {};
}

// --- Registers

std::size_t Session::select(ThreadId thread) {
  if (selected_ == thread) return 0;
  queue("Hg" + thread.to_string());
  selected_ = thread;
  return 1;
}

Result<std::vector<std::byte>> Session::decode_registers(std::string_view reply) {
  if (is_error_reply(reply) || reply.empty()) return refused("g", reply);
  std::vector<std::byte> bytes(reply.size() / 2);
  if (!decode_hex(reply, bytes)) return bad("g: bad hex");
  if (g_size_bytes_ == 0) g_size_bytes_ = bytes.size();
  // QEMU's does not change, whatever mode the vCPU is in (facts: 3.5).
  if (bytes.size() != g_size_bytes_) return bad("g: its size has changed");
  return bytes;
}

Result<std::vector<std::vector<std::byte>>> Session::gather_registers(
    std::span<const ThreadId> threads, bool then_resume) {
  SWAT_CHECK(ready());
  if (threads.size() > kMaxVcpus) return fail(Errc::kUsage, "too many vCPUs");
  std::vector<std::size_t> selections;
  selections.reserve(threads.size());
  for (const ThreadId thread : threads) {
    selections.push_back(select(thread));
    queue("g");
  }
  SWAT_CHECK(then_resume ? resume_all() : flush());
  std::vector<std::vector<std::byte>> all;
  all.reserve(threads.size());
  for (const std::size_t selected : selections) {
    SWAT_CHECK(expect_ok("Hg", selected));
    all.push_back(SWAT_TRY(decode_registers(SWAT_TRY(next_reply()))));
  }
  return all;
}

Result<std::vector<std::byte>> Session::registers(ThreadId thread) {
  return std::move(SWAT_TRY(gather_registers(std::span(&thread, 1), false)).front());
}

Result<std::vector<std::byte>> Session::registers_and_resume(ThreadId thread,
                                                             const PointChanges& changes) {
  SWAT_CHECK(ready());
  queue_changes(changes);
  const std::size_t selected = select(thread);
  queue("g");
  SWAT_CHECK(resume_all());
  const Result<> changed = take_changes(changes);
  SWAT_CHECK(expect_ok("Hg", selected));
  auto registers = decode_registers(SWAT_TRY(next_reply()));
  if (!changed) return tl::unexpected(changed.error());
  return registers;
}

Result<std::vector<std::vector<std::byte>>> Session::registers_of(
    std::span<const ThreadId> threads) {
  return gather_registers(threads, false);
}

Result<std::vector<std::vector<std::byte>>> Session::registers_of_and_resume(
    std::span<const ThreadId> threads) {
  return gather_registers(threads, true);
}

Result<std::vector<std::byte>> Session::read_register(ThreadId thread, unsigned number) {
  SWAT_CHECK(ready());
  const std::size_t selected = select(thread);
  std::string question = "p";
  append_hex_number(question, number);
  queue(question);
  SWAT_CHECK(flush());
  SWAT_CHECK(expect_ok("Hg", selected));
  const std::string reply = SWAT_TRY(next_reply());
  if (is_error_reply(reply) || reply.empty()) return refused(question, reply);
  std::vector<std::byte> value(reply.size() / 2);
  if (!decode_hex(reply, value)) return bad("p: bad hex");
  return value;
}

void Session::queue_write(const RegisterWrite& write) {
  std::string packet = "P";
  append_hex_number(packet, write.number);
  packet.push_back('=');
  append_hex(packet, write.value);
  queue(packet);
}

Result<> Session::write_register(ThreadId thread, unsigned number,
                                 std::span<const std::byte> value) {
  SWAT_CHECK(ready());
  const std::size_t selected = select(thread);
  queue_write({number, value});
  SWAT_CHECK(flush());
  SWAT_CHECK(expect_ok("Hg", selected));
  return expect_ok("P");
}

// --- HMP

Result<std::string> Session::monitor(std::string_view command) {
  SWAT_CHECK(ready());
  std::string packet = "qRcmd,";
  append_hex(packet, std::as_bytes(std::span(command)));
  if (packet.size() > packet_size_ / 2) return fail(Errc::kUsage, "monitor command too long");
  queue(packet);
  SWAT_CHECK(flush());
  std::string text;
  for (;;) {
    const std::string payload = SWAT_TRY(next_packet(kReplyTimeout));
    if (!is_console_output(payload)) {
      if (is_stop_reply(payload) || is_late_answer(payload)) continue;
      --owed_replies_;
      if (payload != "OK") return refused("qRcmd", payload);
      return text;
    }
    std::vector<std::byte> piece((payload.size() - 1) / 2);
    if (!decode_hex(std::string_view(payload).substr(1), piece)) return bad("qRcmd: bad hex");
    if (text.size() + piece.size() > kMaxMonitorBytes) return bad("qRcmd: output without end");
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
}

}  // namespace swat::gdbproto
