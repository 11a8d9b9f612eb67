// Whether the traps of an entry notice what a breakpoint on that entry sees.
//
// A thread that enters the kernel must be noticed before it enters once more: nobody makes two
// syscalls at a time. So an entry that follows another of the same thread, which was not noticed,
// or noticed as another syscall, is a miss, however the guest schedules its threads, on however
// many vCPUs, and without a timeout.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace swat::daemon {

class TrapProof {
 public:
  // So many are enough: what is wrong with a trap (an address, a CPU model) is wrong every time.
  static constexpr unsigned kEnough = 8;
  // One may be the kernel's own doing: what seccomp or a debugger refuses comes to no handler.
  static constexpr unsigned kMostMissed = 1;

  // The breakpoint was hit. `number` is that of the syscall, its low half.
  void entered(std::uint32_t tid, std::uint32_t number);
  void noticed(std::uint32_t tid, std::uint32_t number);

  [[nodiscard]] bool has_failed() const { return missed_ > kMostMissed; }
  [[nodiscard]] bool is_complete() const { return has_failed() || seen_ + missed_ >= kEnough; }
  [[nodiscard]] unsigned missed() const { return missed_; }
  // "noticed 8 of 8 that a breakpoint saw", "unproven: nobody came this way".
  [[nodiscard]] std::string to_string() const;

 private:
  std::unordered_map<std::uint32_t, std::uint32_t> pending_;  // number by thread
  unsigned seen_ = 0;
  unsigned missed_ = 0;
};

}  // namespace swat::daemon
