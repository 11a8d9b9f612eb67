// One RSP conversation with QEMU's gdbstub: what to say, in an order that QEMU survives.
//
// QEMU's stub differs from gdbserver in ways that matter (facts/qemu.md sections 1 and 3): it never
// waits for acks, any byte sent while the guest runs stops it, `?` destroys breakpoints, `k` kills
// the VM, `D` after `D` crashes QEMU. This class sends none of what QEMU mishandles, sends no acks,
// and makes a resume the last bytes of a write.
//
// A Session is either stopped (registers and memory can be read) or running (only wait_stop and
// interrupt make sense); calling out of turn returns kUsage and sends nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gdbproto/link.hpp"
#include "gdbproto/packet.hpp"
#include "gdbproto/silent_stops.hpp"
#include "gdbproto/stop_reply.hpp"
#include "gdbproto/target_xml.hpp"
#include "symbols/address.hpp"
#include "symbols/memory.hpp"
#include "symbols/result.hpp"

namespace swat::gdbproto {

// The digit after Z/z. [GDB manual, "Packets": z type,addr,kind]
enum class PointKind : char {
  kSoftwareBreakpoint = '0',
  kHardwareBreakpoint = '1',
  kWriteWatch = '2',
  kReadWatch = '3',
  kAccessWatch = '4',
};

struct Point {
  PointKind kind;
  Va at;
  std::uint64_t size_bytes;  // watchpoints: the span; breakpoints: the `kind` field, 1 on x86

  friend bool operator==(const Point&, const Point&) = default;
};

// Points that change in the same write as a resume, at no further round trip.
struct PointChanges {
  std::optional<Point> remove;
  std::optional<Point> insert;
};

struct RegisterWrite {
  unsigned number;
  std::span<const std::byte> value;
};

class Session {
 public:
  using Millis = std::chrono::milliseconds;
  static constexpr Millis kReplyTimeout{5000};

  // `link` outlives the session and is already connected; connecting has stopped the guest.
  explicit Session(Link& link) : link_(link) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // qSupported, target.xml, the vCPUs. kProtocol when the peer is no gdbstub of QEMU's; kTimeout
  // when nobody answers (another client holds the stub): then the session is over, and has seen to
  // it that the guest will not be stopped for it later.
  [[nodiscard]] Result<> handshake();
  // Whatever became of the handshake, a stub of QEMU's has answered, and its guest is stopped.
  [[nodiscard]] bool is_stub() const { return is_stub_; }

  [[nodiscard]] const TargetDescription& target() const { return target_; }
  [[nodiscard]] const std::vector<ThreadId>& threads() const { return threads_; }  // vCPU order
  [[nodiscard]] std::size_t packet_size() const { return packet_size_; }
  [[nodiscard]] bool running() const { return running_; }
  // A stop reply that came unasked at connect (QEMU <= 8.0): the guest was running before us.
  [[nodiscard]] bool saw_connect_stop() const { return saw_connect_stop_; }

  // Raw `g` bytes of a vCPU; offsets are in target().
  [[nodiscard]] Result<std::vector<std::byte>> registers(ThreadId thread);
  // One register, by its number in target(), as raw bytes.
  [[nodiscard]] Result<std::vector<std::byte>> read_register(ThreadId thread, unsigned number);
  [[nodiscard]] Result<> write_register(ThreadId thread, unsigned number,
                                        std::span<const std::byte> value);
  // The same as registers() for several vCPUs, in their order, at one round trip: on SMP each of
  // them may stand at a trap, and only one is named by the stop reply (facts: 0.2).
  [[nodiscard]] Result<std::vector<std::vector<std::byte>>> registers_of(
      std::span<const ThreadId> threads);

  // Split into packets that fit; pipelined. kFault names the first address that could not be read.
  [[nodiscard]] Result<> read(ThreadId thread, Va at, std::span<std::byte> into);
  [[nodiscard]] Result<> write(ThreadId thread, Va at, std::span<const std::byte> bytes);
  [[nodiscard]] Result<> read_physical(Pa at, std::span<std::byte> into);
  // Several at one round trip. All or nothing; the error names the first piece that was refused.
  [[nodiscard]] Result<> read_physical(std::span<const PhysicalMemory::Piece> pieces);

  [[nodiscard]] Result<> insert(const Point& point);
  // One write, all replies checked. When one is refused, those that were not are taken out again.
  [[nodiscard]] Result<> insert(std::span<const Point> points);
  [[nodiscard]] Result<> remove(const Point& point);
  [[nodiscard]] Result<> remove(std::span<const Point> points);
  [[nodiscard]] Result<> change(const PointChanges& changes);

  // When a change is refused the guest runs all the same.
  [[nodiscard]] Result<> resume(const PointChanges& changes = {});  // z, Z, c
  [[nodiscard]] Result<> resume_at(ThreadId thread, Va);            // Hc, c addr
  // `g` and `c` in one write: the registers as of the stop, at no further round trip.
  [[nodiscard]] Result<std::vector<std::byte>> registers_and_resume(
      ThreadId thread, const PointChanges& changes = {});
  [[nodiscard]] Result<std::vector<std::vector<std::byte>>> registers_of_and_resume(
      std::span<const ThreadId> threads);
  // The same, and pieces of guest RAM read before the resume: all that a plain event takes, at one
  // round trip. `memory` is the outcome of the reads, whose failure leaves the registers good.
  struct ReadAndResumed {
    std::vector<std::byte> registers;
    Result<> memory;
  };
  [[nodiscard]] Result<ReadAndResumed> read_and_resume(
      ThreadId thread, std::span<const PhysicalMemory::Piece> pieces);
  // Emulate-and-skip: the writes and the resume at `at`, in one write and one round trip. After an
  // error the guest may be running with only some of them done.
  [[nodiscard]] Result<> write_registers_and_resume_at(ThreadId thread,
                                                       std::span<const RegisterWrite> writes,
                                                       Va at);
  // The same where `writes` set the program counter, too; silently as well.
  [[nodiscard]] Result<> write_registers_and_resume(ThreadId thread,
                                                    std::span<const RegisterWrite> writes);
  [[nodiscard]] Result<> step(ThreadId thread);  // vCont;s:N, the others stay stopped
  [[nodiscard]] Result<> interrupt();            // 0x03
  // kTimeout leaves the guest running. After interrupt(), each second spent here without an answer
  // tries a stronger way to stop the guest (facts: 3.3); signal 2 tells such a stop from a trap.
  [[nodiscard]] Result<StopReply> wait_stop(Millis timeout);

  // From here on the guest is resumed by HMP `cont`, and its stops are known from `monitor`, which
  // outlives this or run_reported() (silent_stops.hpp): only where QEMU is 8.1 or later. Steps are
  // reported as ever. kUsage: a watchpoint has been in the stub. Once one is inserted, runs are
  // reported again, for good. The guest is stopped.
  [[nodiscard]] Result<> run_silently(Qmp& monitor);
  void run_reported();
  [[nodiscard]] bool runs_silently() const { return silent_.has_value(); }

  // One HMP command through qRcmd; its output. Needs no QMP.
  [[nodiscard]] Result<std::string> monitor(std::string_view command);

  // Takes single-stepping off all vCPUs; the guest is stopped, and executes nothing. QEMU leaves it
  // on when a client dies in the middle of a step(), unless it is the first vCPU's, and then stops
  // the guest at that vCPU's next instruction with nobody there. [gdb_chr_event,
  // gdb_vm_state_change; measured on QEMU 7.2 and 11.1]
  [[nodiscard]] Result<> end_steps();

  // Makes every vCPU look up anew which pages are watched. QEMU takes them for watched until then:
  // of a watchpoint that goes it forgets the first page alone, and a vCPU that still has a hit
  // nobody was told of stops at its next access to any of the others, with nobody there. No effect
  // where the stub refuses (KVM, which has no such pages).
  // [QEMU cpu_watchpoint_insert, cpu_watchpoint_remove_by_ref, cpu_check_watchpoint; measured]
  [[nodiscard]] Result<> forget_watched_pages();

  // Removes every breakpoint and watchpoint of the stub and lets the guest run; physical mode off.
  // `leave_paused`: the guest executes nothing and stays paused.
  // The session is over after it, whatever it returns.
  [[nodiscard]] Result<> detach(bool leave_paused);

  // What went over the wire so far.
  struct Stats {
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t packets_sent = 0;
    std::uint64_t stops = 0;
    std::chrono::nanoseconds held{};  // from the report of a stop to the resume, of all stops
  };
  [[nodiscard]] const Stats& stats() const { return stats_; }

 private:
  // What has been said and not yet answered (session.cpp).
  [[nodiscard]] Result<> ready();
  void queue(std::string_view payload);
  [[nodiscard]] Result<> flush();
  [[nodiscard]] Result<> send_raw(std::string_view bytes);
  [[nodiscard]] Result<Frame> next_frame(Millis timeout);
  [[nodiscard]] Result<std::string> next_packet(Millis timeout);
  [[nodiscard]] Result<std::string> next_reply();
  [[nodiscard]] Result<std::string> ask(std::string_view payload);
  [[nodiscard]] Result<> expect_ok(std::string_view of);
  [[nodiscard]] Result<> expect_ok(std::string_view of, std::size_t times);
  [[nodiscard]] Result<> resync();

  [[nodiscard]] Result<std::string> first_answer();
  [[nodiscard]] Result<> leave_queue();
  [[nodiscard]] Result<> take_features(std::string_view features);
  [[nodiscard]] Result<std::string> fetch_annex(std::string_view annex);
  [[nodiscard]] Result<> list_threads();

  // Both queue a packet when it is needed, and return how many they queued.
  [[nodiscard]] std::size_t select(ThreadId thread);
  [[nodiscard]] std::size_t address_mode(bool physical);
  void queue_write(const RegisterWrite& write);
  [[nodiscard]] Result<std::vector<std::byte>> decode_registers(std::string_view reply);
  [[nodiscard]] Result<std::vector<std::vector<std::byte>>> gather_registers(
      std::span<const ThreadId> threads, bool then_resume);

  // Memory and points (session_memory.cpp).
  [[nodiscard]] Result<> read_chunks(std::uint64_t at, std::span<std::byte> into,
                                     std::size_t prelude);
  [[nodiscard]] Result<> take_chunks(std::uint64_t at, std::span<const std::span<std::byte>> asked);
  [[nodiscard]] Result<std::uint64_t> first_unreadable(std::uint64_t at, std::size_t size_bytes);
  [[nodiscard]] Result<> change_points(char verb, std::span<const Point> points,
                                       std::vector<Point>* done);
  void queue_changes(const PointChanges& changes);
  // The replies to those: all are read, the first refusal is the outcome.
  [[nodiscard]] Result<> take_changes(const PointChanges& changes);

  // Run control (session_run.cpp).
  [[nodiscard]] Result<> start(std::string_view packet);
  [[nodiscard]] Result<> resume_all();  // `c`, or silently
  [[nodiscard]] Result<StopReply> wait_silent_stop(Millis timeout);
  void note_insert(const Point& point);
  [[nodiscard]] Result<> escalate();
  [[nodiscard]] Result<std::optional<StopReply>> judge(std::string_view payload);
  StopReply accept(const StopReply& stop);
  [[nodiscard]] Result<> stop_for_detach();

  Link& link_;
  FrameDecoder frames_;
  TargetDescription target_;
  std::vector<ThreadId> threads_;
  Stats stats_;
  std::optional<std::chrono::steady_clock::time_point> stopped_at_;  // by a stop that was reported
  std::string inbox_;
  std::string outbox_;                    // packets queued, not yet sent
  std::size_t queued_replies_ = 0;        // to what is in outbox_
  std::size_t owed_replies_ = 0;          // to what was sent
  std::optional<ThreadId> selected_;      // by Hg, for g p P m M
  std::optional<ThreadId> current_;       // by Hc, for `c addr`
  std::optional<std::uint32_t> process_;  // what `D` must name on a multiprocess stub
  std::size_t packet_size_ = 0x1000;
  std::size_t g_size_bytes_ = 0;  // 0: not seen yet
  Millis unanswered_{0};          // waited since the last attempt to interrupt
  unsigned attempts_ = 0;         // to interrupt; 0: none under way
  std::optional<SilentStops> silent_;
  bool has_watched_ = false;
  bool running_ = false;
  bool stops_silently_ = false;  // as it runs now
  bool over_ = false;
  bool is_stub_ = false;
  bool saw_connect_stop_ = false;
  bool physical_mode_ = false;
};

}  // namespace swat::gdbproto
