// What QEMU logs just now, read out of its own memory: the monitor sets it and does not tell.
//
// Two variables that QEMU exports for its modules say all:
//   int qemu_loglevel                    a bit for each item
//   const QEMULogItem qemu_log_items[]   {int mask; const char *name; const char *help}, up to a 0
// [util/log.c, include/qemu/log.h; the same in 7.2 and 11.1, pinned by tests/e2e/test_exec_log.py]
#pragma once

#include <sys/types.h>

#include <string>

#include "symbols/memory.hpp"

namespace swat::daemon {

// As the monitor's `log` takes them, "int,guest_errors"; empty: none. `image`: where the file of
// QEMU's program is mapped in `qemu`. Bits without a name, that of trace events among them, are
// none that `log` sets.
[[nodiscard]] Result<std::string> read_log_items(VirtualMemory& qemu, Va image);
// Of the QEMU process `pid` on this host. kNotFound: no program of it exports that.
[[nodiscard]] Result<std::string> read_log_items(pid_t pid);

}  // namespace swat::daemon
