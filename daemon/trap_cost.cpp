#include "daemon/trap_cost.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/qemu_version.hpp"

namespace swat::daemon {
namespace {

// Orders of magnitude, from counts (strace -c -f) of shells, compilers, browsers and servers. What
// is not here is rare.
struct RateRow {
  double per_second;
  std::initializer_list<std::string_view> names;
};
const RateRow kRates[] = {
    {1000,
     {"read", "write", "futex", "recvmsg", "sendmsg", "poll", "epoll_wait", "writev",
      "gettimeofday", "clock_gettime", "clock_gettime64", "recvfrom", "sendto", "ioctl"}},
    {200,
     {"open",         "openat",         "close",       "stat",       "fstat",     "lstat",
      "newfstatat",   "statx",          "stat64",      "fstat64",    "lstat64",   "fstatat64",
      "access",       "readlink",       "lseek",       "_llseek",    "pread64",   "pwrite64",
      "readv",        "fcntl",          "fcntl64",     "getdents64", "select",    "_newselect",
      "pselect6",     "ppoll",          "epoll_pwait", "epoll_ctl",  "nanosleep", "clock_nanosleep",
      "rt_sigaction", "rt_sigprocmask", "sched_yield", "getpid",     "gettid",    "getuid",
      "getrandom",    "mmap",           "mmap2",       "munmap",     "mprotect",  "madvise",
      "brk",          "wait4",          "socketcall"}},
};
constexpr double kRare = 2;
constexpr double kAll = 5000;  // of one entry

double rate_of(std::string_view name) {
  for (const RateRow& row : kRates) {
    if (std::ranges::find(row.names, name) != row.names.end()) return row.per_second;
  }
  return kRare;
}

// [QEMU commit dae1e0df49d4, "gdbstub: Remove tb_flush uses", first in 10.2]
constexpr QemuVersion kLastThatFlushes{10, 1};

constexpr std::chrono::duration<double> kStop{0.0002};
constexpr std::chrono::duration<double> kFlushes{0.02};  // 5 to 150 ms, by how much is translated

}  // namespace

StopCosts StopCosts::of_qemu(std::string_view version) {
  return {kStop, QemuVersion::parse(version) <= kLastThatFlushes ? kFlushes : kStop * 2};
}

StopCosts StopCosts::of_silent_runs() { return {kStop, kStop * 2}; }

StopCosts StopCosts::of_kvm() { return {kStop, kStop}; }

double expected_rate(const SyscallDemand& demand, const os::SyscallAbi& abi) {
  double rate = demand.all ? kAll : 0;
  for (const std::uint32_t number : demand.numbers) {
    if (number < abi.names.size()) rate += rate_of(abi.names[number]);
  }
  return std::min(rate, kAll);
}

std::string ExpectedCost::to_string() const {
  return fmt::format("{:.0f} stops/s of {:.1f} ms", stops_per_second, stop.count() * 1000);
}

ExpectedCost expected_cost(const std::vector<Trap>& traps, const SyscallDemand& demand,
                           const os::SyscallAbi& abi, const StopCosts& costs) {
  if (traps.empty()) return {};
  const Trap& first = traps.front();
  const bool selects = std::holds_alternative<DispatchTrap>(first.what);
  return {expected_rate(selects ? demand : SyscallDemand{}, abi),
          first.is_breakpoint() ? costs.breakpoint : costs.watch};
}

}  // namespace swat::daemon
