// The read watches on words of stacks that hold return addresses.
//
// A loop calls from the same depth of the stack again and again: so a word that was needed a moment
// ago may stay watched, and most calls of a loop change nothing in the stub. Others go one by one,
// in the writes that resume the guest.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "gdbproto/session.hpp"

namespace swat::daemon {

class StackWatches {
 public:
  // So many words stay although nobody needs them. On several vCPUs none should, not even until the
  // next stop: QEMU does not tell of each read, and when the watch goes before it has, it loses
  // that vCPU's next hit, or reports it under a name that is nobody's (facts/qemu.md 0.2).
  void keep_idle(std::size_t count) { most_idle_ = count; }

  // Whether a call waits for its return in this word.
  using IsNeeded = std::function<bool(Va at, std::uint64_t size_bytes)>;

  // What has to change in the stub before the caller runs on.
  [[nodiscard]] gdbproto::PointChanges watch(Va word, unsigned size_bytes,
                                             const IsNeeded& is_needed);
  // What may change at another stop of ours.
  [[nodiscard]] gdbproto::PointChanges tidy(const IsNeeded& is_needed);
  // The word is read, and not needed: it goes with the next changes.
  void spoil(Va word) { spoiled_ = word; }

  // What has to go at once: all idle words but those that stay, and `but` that tidy() is to see to.
  [[nodiscard]] std::vector<gdbproto::Point> take_idle(const IsNeeded& is_needed, std::size_t but);
  // All points, which are to be removed.
  [[nodiscard]] std::vector<gdbproto::Point> clear() { return std::exchange(watched_, {}); }

  [[nodiscard]] bool contains(Va word) const;
  // Those that a `ret` may have taken which has left the stack pointer at `sp`.
  [[nodiscard]] std::vector<gdbproto::Point> taken_below(Va sp) const;
  [[nodiscard]] std::size_t size() const { return watched_.size(); }

 private:
  std::vector<gdbproto::Point> watched_;  // the one that was needed last is the last
  std::optional<Va> spoiled_;
  std::size_t most_idle_ = 0;
};

}  // namespace swat::daemon
