// What QEMU logs, and where to, before swatd has it log executed blocks; and how to get back there.
//
// QEMU does not tell: the command line says how it began, and its own memory which items it logs by
// now (qemu_loglevel, an exported variable). Nothing tells the file's name if it was changed by
// hand since.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "symbols/result.hpp"

namespace swat::daemon {

struct QemuLog {
  std::string items;  // as the monitor's `log` takes them; empty: none
  std::string file;   // as the monitor's `logfile` takes it

  // Monitor commands that bring it back.
  [[nodiscard]] std::vector<std::string> restore() const;
};

// What QEMU's command line says of its log.
struct QemuLogOptions {
  std::string items;                // -d
  std::optional<std::string> file;  // -D
  bool filters = false;             // -dfilter
  bool traces = false;              // -trace
  bool daemonized = false;

  [[nodiscard]] static QemuLogOptions parse(const std::vector<std::string>& arguments);
};

// Of the QEMU process `pid` on this host. `version` as "7.2.22". kUnsupported says in one line why
// its log must be left alone: something is logged already that could not be given back.
[[nodiscard]] Result<QemuLog> read_qemu_log(pid_t pid, std::string_view version);

// As the monitor reads a file name: quoted.
[[nodiscard]] std::string monitor_quoted(std::string_view text);

}  // namespace swat::daemon
