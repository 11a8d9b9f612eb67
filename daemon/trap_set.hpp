// The traps that the stub holds right now.
//
// QEMU accepts the same point twice and then wants it removed twice, and a watchpoint may only go
// at a stop that is its own kind's (facts/qemu.md 0.2): so points are counted here, and removals
// wait.
#pragma once

#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "daemon/trap.hpp"
#include "gdbproto/session.hpp"

namespace swat::daemon {

class TrapSet {
 public:
  // More points than this make every watched access slow (a list is walked); beyond it add() fails.
  static constexpr std::size_t kMaxPoints = 2048;

  // `session` outlives this.
  explicit TrapSet(gdbproto::Session& session) : session_(session) {}

  // Inserts the points that are not there yet, in one write. The guest is stopped. When the stub
  // refuses one, none of `traps` is held.
  [[nodiscard]] Result<> add(const std::vector<Trap>& traps);
  // One holder of this point less; the last one has it removed at the next flush_removals().
  void drop(const gdbproto::Point& point);
  // At a stop that a trap of ours reported.
  [[nodiscard]] Result<> flush_removals();
  // All of them go, whoever holds them. The guest is stopped, and not by one of them.
  [[nodiscard]] Result<> clear();
  // Of those that the stub holds.
  [[nodiscard]] bool has_watches() const;
  [[nodiscard]] bool has_removals() const { return !to_remove_.empty(); }

  // Traps at a watched span's start, or at a breakpoint's address; several entries may share one
  // word (syscall and its compat twin).
  [[nodiscard]] std::vector<const Trap*> at_watch(Va start) const;
  // What the longest of the watches that begin there spans; empty: none does.
  [[nodiscard]] VaRange watched_from(Va start) const;
  // Whether a read of these bytes would stop at a watch.
  [[nodiscard]] bool watches_read(Va at, std::uint64_t size_bytes) const;
  [[nodiscard]] const Trap* at_breakpoint(Va pc) const;
  // All that a breakpoint may mean: 64-bit and 32-bit callers may share a syscall's handler.
  [[nodiscard]] std::vector<Trap> meanings_at_breakpoint(Va pc) const;
  [[nodiscard]] std::size_t size() const { return held_.size(); }
  // How many breakpoints there would be with `more` added.
  [[nodiscard]] std::size_t breakpoints_with(const std::vector<Trap>& more) const;

 private:
  struct Held {
    gdbproto::Point point;
    std::vector<Trap> traps;  // distinct meanings of one point
    std::size_t holders = 0;
  };
  // Address, kind, size: programs linked at one address differ in how many slots they have.
  using Key = std::tuple<std::uint64_t, char, std::uint64_t>;
  static Key key_of(const gdbproto::Point& point) {
    return {point.at.value, static_cast<char>(point.kind), point.size_bytes};
  }

  [[nodiscard]] const Held* held_at_breakpoint(Va pc) const;
  void give_back(const std::vector<Trap>& traps, const std::vector<gdbproto::Point>& missing);

  gdbproto::Session& session_;
  std::map<Key, Held> held_;
  std::uint64_t longest_span_ = 0;  // of all watches that ever were
  std::vector<gdbproto::Point> to_remove_;
};

}  // namespace swat::daemon
