#include "daemon/qemu_log.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "daemon/qemu_log_items.hpp"
#include "daemon/qemu_version.hpp"

namespace swat::daemon {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStderr = "/dev/stderr";
constexpr std::string_view kNowhere = "/dev/null";
// Up to 7.2 QEMU appends to a log file that it has opened before; 11.1 empties it. [T: 7.2.22 and
// 11.1.3; between them: taken for the worse]
constexpr QemuVersion kLastToAppend{7, 2};

std::vector<std::string> arguments_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

// Where QEMU, whose working directory is its own, finds `file`. "%d" is its pid.
std::string path_of(const std::string& file, pid_t pid) {
  std::string path = file;
  if (const auto at = path.find("%d"); at != std::string::npos) {
    path.replace(at, 2, std::to_string(pid));
  }
  if (path.starts_with('/')) return path;
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd", error);
  return (folder / path).string();
}

// Why opening `path` anew would not do; empty: it will.
std::string why_not(const std::string& path, std::string_view version) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return "cannot be found";
  if (S_ISSOCK(about.st_mode)) return "is a socket";
  const bool appends = QemuVersion::parse(version) <= kLastToAppend;
  if (S_ISREG(about.st_mode) && about.st_size > 0 && !appends) {
    return "has something in it, which this QEMU would throw away";
  }
  return {};
}

}  // namespace

QemuLogOptions QemuLogOptions::parse(const std::vector<std::string>& arguments) {
  QemuLogOptions options;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    std::string_view name = arguments[i];
    if (!name.starts_with('-')) continue;
    name.remove_prefix(name.starts_with("--") ? 2 : 1);
    const bool has_value = i + 1 < arguments.size();
    if (name == "daemonize") options.daemonized = true;
    if (name == "dfilter") options.filters = true;
    if (name == "trace") options.traces = true;
    if (name == "d" && has_value) options.items = arguments[i + 1];
    if (name == "D" && has_value) options.file = arguments[i + 1];
  }
  if (options.items == "none") options.items.clear();
  return options;
}

std::vector<std::string> QemuLog::restore() const {
  // Off first: a moment of the old file is better spared the new lines.
  std::vector<std::string> commands = {"log none", "logfile " + monitor_quoted(file)};
  if (!items.empty()) commands.push_back("log " + items);
  return commands;
}

Result<QemuLog> read_qemu_log(pid_t pid, std::string_view version) {
  const auto arguments = arguments_of(pid);
  if (arguments.empty()) return fail(Errc::kUnsupported, "QEMU's command line cannot be read");
  const auto options = QemuLogOptions::parse(arguments);
  if (options.filters) {
    return fail(Errc::kUnsupported,
                "QEMU was started with -dfilter, which keeps its log from telling all");
  }
  QemuLog log{options.items, std::string(kNowhere)};
  if (const auto items = read_log_items(pid)) {
    if (*items != options.items && options.items.empty()) {
      return fail(Errc::kUnsupported,
                  "QEMU logs already (" + *items + ", set by hand), and does not tell where to");
    }
    log.items = *items;
  } else {
    spdlog::debug("what QEMU logs is taken from its command line: {}", items.error().what);
  }
  std::string where = "/proc/" + std::to_string(pid) + "/fd/2";
  if (options.file) {
    log.file = where = path_of(*options.file, pid);
  } else if (!options.daemonized) {
    log.file = kStderr;
  } else {
    return log;  // it has logged nowhere
  }
  const std::string obstacle = why_not(where, version);
  if (obstacle.empty()) return log;
  if (!log.items.empty() || options.file || options.traces) {
    return fail(Errc::kUnsupported,
                "QEMU's own log could not be given back: " + log.file + " " + obstacle);
  }
  log.file = kNowhere;  // nothing has been logged, and nothing will be
  return log;
}

std::string monitor_quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + '"';
}

}  // namespace swat::daemon
