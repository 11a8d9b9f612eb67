// What traps are expected to cost before anything is measured: guesses that are good enough to tell
// kinds of traps apart, which differ by factors of ten.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "daemon/syscall_demand.hpp"
#include "daemon/trap.hpp"

namespace swat::daemon {

struct StopCosts {
  std::chrono::duration<double> watch;
  std::chrono::duration<double> breakpoint;

  // Of QEMU under TCG: up to 10.1 it flushes its translations at every stop of a breakpoint.
  [[nodiscard]] static StopCosts of_qemu(std::string_view version);
  // Of one whose stops at breakpoints are silent (Vm::run_silently).
  [[nodiscard]] static StopCosts of_silent_runs();
  // Not measured: there was no KVM at hand.
  [[nodiscard]] static StopCosts of_kvm();
};

// Syscalls a second, of a busy guest, that would be noticed at this entry: all, or those asked for.
[[nodiscard]] double expected_rate(const SyscallDemand& demand, const os::SyscallAbi& abi);

// What these traps of one entry would take of the guest's time.
struct ExpectedCost {
  double stops_per_second = 0;
  std::chrono::duration<double> stop{0};

  // 1: all of it. More: it slows down so much that the rate cannot be had.
  [[nodiscard]] double share() const { return stops_per_second * stop.count(); }
  // "5000 stops/s of 0.2 ms".
  [[nodiscard]] std::string to_string() const;
};
[[nodiscard]] ExpectedCost expected_cost(const std::vector<Trap>& traps,
                                         const SyscallDemand& demand, const os::SyscallAbi& abi,
                                         const StopCosts& costs);

}  // namespace swat::daemon
