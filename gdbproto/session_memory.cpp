// Memory and breakpoints of a Session: many packets a write, all replies read.
#include <algorithm>
#include <utility>

#include "gdbproto/hex.hpp"
#include "gdbproto/reply.hpp"
#include "gdbproto/session.hpp"

namespace swat::gdbproto {
namespace {

// Questions sent before the first reply is read. QEMU reads 4096 bytes at a time and blocks the
// whole VM while its replies are not taken (facts: 3.2), so: few enough to fit the sockets'
// buffers.
constexpr std::size_t kPipeline = 64;
constexpr std::size_t kPointPipeline = 1024;
// Of every MMU known here the smallest page, or a multiple of it (ARM's 1 KB pages are gone).
constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kMaxWriteChunk = 1024;

std::string memory_packet(char verb, std::uint64_t at, std::size_t size_bytes) {
  std::string packet(1, verb);
  append_hex_number(packet, at);
  packet.push_back(',');
  append_hex_number(packet, size_bytes);
  return packet;
}

std::string point_packet(char verb, const Point& point) {
  std::string packet{verb, static_cast<char>(point.kind), ','};
  append_hex_number(packet, point.at.value);
  packet.push_back(',');
  append_hex_number(packet, point.size_bytes);
  return packet;
}

std::uint64_t to_page_end(std::uint64_t at) { return kPage - at % kPage; }

}  // namespace

// --- Memory

Result<> Session::read(ThreadId thread, Va at, std::span<std::byte> into) {
  SWAT_CHECK(ready());
  if (into.empty()) return {};
  const std::size_t prelude = address_mode(false) + select(thread);
  return read_chunks(at.value, into, prelude);
}

Result<> Session::read_physical(Pa at, std::span<std::byte> into) {
  SWAT_CHECK(ready());
  if (into.empty()) return {};
  return read_chunks(at.value, into, address_mode(true));
}

// Small pieces far apart: what is read of a task. One larger than a packet goes by itself.
Result<> Session::read_physical(std::span<const PhysicalMemory::Piece> pieces) {
  const auto fits = [&](const PhysicalMemory::Piece& piece) {
    return !piece.into.empty() && piece.into.size() <= packet_size_ / 2;
  };
  if (!std::ranges::all_of(pieces, fits)) {
    for (const auto& piece : pieces) SWAT_CHECK(read_physical(piece.at, piece.into));
    return {};
  }
  while (!pieces.empty()) {
    const auto batch = pieces.first(std::min(pieces.size(), kPipeline));
    pieces = pieces.subspan(batch.size());
    SWAT_CHECK(ready());
    const std::size_t prelude = address_mode(true);
    for (const auto& piece : batch) queue(memory_packet('m', piece.at.value, piece.into.size()));
    SWAT_CHECK(flush());
    SWAT_CHECK(expect_ok("address mode", prelude));
    Result<> outcome;
    for (const auto& piece : batch) {
      const std::string reply = SWAT_TRY(next_reply());
      if (outcome && !decode_hex(reply, piece.into)) outcome = refused("m", reply, piece.at.value);
    }
    SWAT_CHECK(outcome);
  }
  return {};
}

Result<Session::ReadAndResumed> Session::read_and_resume(
    ThreadId thread, std::span<const PhysicalMemory::Piece> pieces) {
  SWAT_CHECK(ready());
  const bool fits = std::ranges::all_of(
      pieces, [&](const auto& piece) { return piece.into.size() <= packet_size_ / 2; });
  if (pieces.size() > kPipeline || !fits) return fail(Errc::kUsage, "too much for one write");
  const std::size_t prelude = address_mode(true);
  for (const auto& piece : pieces) queue(memory_packet('m', piece.at.value, piece.into.size()));
  const std::size_t selected = select(thread);
  queue("g");
  SWAT_CHECK(resume_all());
  SWAT_CHECK(expect_ok("address mode", prelude));
  ReadAndResumed got;
  for (const auto& piece : pieces) {
    const std::string reply = SWAT_TRY(next_reply());
    if (got.memory && !decode_hex(reply, piece.into)) {
      got.memory = refused("m", reply, piece.at.value);
    }
  }
  SWAT_CHECK(expect_ok("Hg", selected));
  got.registers = SWAT_TRY(decode_registers(SWAT_TRY(next_reply())));
  return got;
}

// The mode is the stub's, not the connection's: it stays on for the next client. detach() ends it.
std::size_t Session::address_mode(bool physical) {
  if (physical_mode_ == physical) return 0;
  queue(physical ? "Qqemu.PhyMemMode:1" : "Qqemu.PhyMemMode:0");
  physical_mode_ = physical;
  return 1;
}

// `prelude`: packets already queued, whose OKs come first. The largest `m` is half the packet size
// (facts: 3.4), which is what its reply in hex takes.
Result<> Session::read_chunks(std::uint64_t at, std::span<std::byte> into, std::size_t prelude) {
  const std::size_t chunk = packet_size_ / 2;
  std::vector<std::span<std::byte>> asked;
  while (!into.empty()) {
    asked.clear();
    for (std::uint64_t next = at; !into.empty() && asked.size() < kPipeline;) {
      asked.push_back(into.first(std::min(chunk, into.size())));
      into = into.subspan(asked.back().size());
      queue(memory_packet('m', next, asked.back().size()));
      next += asked.back().size();
    }
    SWAT_CHECK(flush());
    SWAT_CHECK(expect_ok("address mode", std::exchange(prelude, 0)));
    SWAT_CHECK(take_chunks(at, asked));
    for (const std::span<std::byte> piece : asked) at += piece.size();
  }
  return {};
}

Result<> Session::take_chunks(std::uint64_t at, std::span<const std::span<std::byte>> asked) {
  Result<> outcome;
  std::uint64_t failed_at = 0;
  std::size_t failed_size_bytes = 0;
  for (const std::span<std::byte> piece : asked) {
    const std::string reply = SWAT_TRY(next_reply());
    if (outcome && !decode_hex(reply, piece)) {
      outcome = refused("m", reply, at);
      failed_at = at;
      failed_size_bytes = piece.size();
    }
    at += piece.size();
  }
  if (outcome || outcome.error().code != Errc::kFault) return outcome;
  outcome.error().guest = SWAT_TRY(first_unreadable(failed_at, failed_size_bytes));
  return outcome;
}

// A chunk is readable or it is not; which of its pages is the cause, QEMU does not say.
Result<std::uint64_t> Session::first_unreadable(std::uint64_t at, std::size_t size_bytes) {
  std::vector<std::uint64_t> starts;
  for (std::uint64_t done = 0; done < size_bytes; done += to_page_end(at + done)) {
    starts.push_back(at + done);
  }
  if (starts.size() == 1) return at;
  for (const std::uint64_t start : starts) queue(memory_packet('m', start, 1));
  SWAT_CHECK(flush());
  std::optional<std::uint64_t> first;
  for (const std::uint64_t start : starts) {
    const std::string reply = SWAT_TRY(next_reply());
    if (!first && is_error_reply(reply)) first = start;
  }
  return first.value_or(at);
}

// Chunks end at page ends, so that the error names the page. Nothing is undone after an error.
Result<> Session::write(ThreadId thread, Va at, std::span<const std::byte> bytes) {
  SWAT_CHECK(ready());
  if (bytes.empty()) return {};
  std::size_t prelude = address_mode(false) + select(thread);
  const std::size_t limit = std::min(kMaxWriteChunk, packet_size_ / 4);
  while (!bytes.empty()) {
    std::vector<Va> asked;
    while (!bytes.empty() && asked.size() < kPipeline) {
      const std::size_t size = std::min({limit, bytes.size(), std::size_t{to_page_end(at.value)}});
      std::string packet = memory_packet('M', at.value, size);
      packet.push_back(':');
      append_hex(packet, bytes.first(size));
      queue(packet);
      asked.push_back(at);
      at = at + size;
      bytes = bytes.subspan(size);
    }
    SWAT_CHECK(flush());
    SWAT_CHECK(expect_ok("address mode", std::exchange(prelude, 0)));
    Result<> outcome;
    for (const Va start : asked) {
      const std::string reply = SWAT_TRY(next_reply());
      if (outcome && reply != "OK") outcome = refused("M", reply, start.value);
    }
    SWAT_CHECK(outcome);
  }
  return {};
}

// --- Breakpoints and watchpoints

Result<> Session::insert(const Point& point) { return insert(std::span(&point, 1)); }

Result<> Session::insert(std::span<const Point> points) {
  SWAT_CHECK(ready());
  std::vector<Point> inserted;
  Result<> outcome = change_points('Z', points, &inserted);
  if (outcome || inserted.empty()) return outcome;
  SWAT_CHECK(ready());
  SWAT_CHECK(change_points('z', inserted, nullptr));
  return outcome;
}

Result<> Session::remove(const Point& point) { return remove(std::span(&point, 1)); }

Result<> Session::remove(std::span<const Point> points) {
  SWAT_CHECK(ready());
  return change_points('z', points, nullptr);
}

// Tries all of them; the first refusal is the outcome. `done` gets those that were not refused.
Result<> Session::change_points(char verb, std::span<const Point> points,
                                std::vector<Point>* done) {
  Result<> outcome;
  while (!points.empty()) {
    const auto batch = points.first(std::min(points.size(), kPointPipeline));
    points = points.subspan(batch.size());
    for (const Point& point : batch) {
      if (verb == 'Z') note_insert(point);
      queue(point_packet(verb, point));
    }
    SWAT_CHECK(flush());
    for (const Point& point : batch) {
      const std::string reply = SWAT_TRY(next_reply());
      if (reply == "OK") {
        if (done != nullptr) done->push_back(point);
      } else if (outcome) {
        outcome = refused(point_packet(verb, point), reply, point.at.value);
      }
    }
  }
  return outcome;
}

void Session::queue_changes(const PointChanges& changes) {
  if (changes.remove) queue(point_packet('z', *changes.remove));
  if (changes.insert) {
    note_insert(*changes.insert);
    queue(point_packet('Z', *changes.insert));
  }
}

Result<> Session::take_changes(const PointChanges& changes) {
  Result<> outcome;
  for (const auto* point : {&changes.remove, &changes.insert}) {
    if (!*point) continue;
    const std::string reply = SWAT_TRY(next_reply());
    if (reply != "OK" && outcome) outcome = refused("z or Z", reply, (*point)->at.value);
  }
  return outcome;
}

Result<> Session::change(const PointChanges& changes) {
  if (!changes.remove && !changes.insert) return {};
  SWAT_CHECK(ready());
  queue_changes(changes);
  SWAT_CHECK(flush());
  return take_changes(changes);
}

// A watchpoint that goes over the end of a page makes QEMU forget them all, when it is set. It is
// gone before the guest runs.
Result<> Session::forget_watched_pages() {
  constexpr Point kSeveralPages{PointKind::kWriteWatch, Va{0}, 0x20000};  // of any architecture
  SWAT_CHECK(ready());
  queue(point_packet('Z', kSeveralPages));
  queue(point_packet('z', kSeveralPages));
  SWAT_CHECK(flush());
  SWAT_CHECK(next_reply());
  SWAT_CHECK(next_reply());
  return {};
}

}  // namespace swat::gdbproto
