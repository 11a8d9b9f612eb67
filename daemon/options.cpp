#include "daemon/options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>

namespace swat::daemon {
namespace {

// What CLI11 fills in, before it is checked and given its types.
struct Raw {
  std::string gdb;
  std::string qmp;
  std::string files;
  double duration_s = 0;
  std::uint64_t max_events = 0;
  std::string rate_cap;
  std::vector<std::string> functions;
  std::uint32_t pid = 0;
  std::optional<std::string> syscalls;
  std::vector<std::string> calls;
  std::vector<std::string> processes;
  std::string returns;
  bool follow = false;

  [[nodiscard]] bool selects() const {
    return syscalls || !calls.empty() || !processes.empty() || follow;
  }
};

void add_connection(CLI::App& app, Options& options, Raw& raw) {
  app.add_option("--gdb", raw.gdb, "gdbstub of the VM: HOST:PORT or unix:PATH");
  app.add_option("--qmp", raw.qmp, "QMP monitor of the VM: HOST:PORT or unix:PATH");
  app.add_option("--os", options.os, "guest system")
      ->check(CLI::IsMember({"auto", "linux", "windows", "winxp", "win10x64"}))
      ->capture_default_str();
  app.add_option("--ram", options.attach.ram,
                 "how to read guest RAM (default: the best that works)")
      ->check(CLI::IsMember({"file", "process", "stub"}));
  app.add_option("--files", raw.files,
                 "root file system of the guest, unpacked in DIR: names of functions of static "
                 "programs, and what is not paged in");
  app.add_option("--profile", options.profile,
                 "where a Windows guest's kernel has what, instead of finding out: its PDB, or a "
                 "symbol table for Volatility 3 (ISF), unpacked");
  app.add_flag("!--no-profile-cache", options.profile_cache,
               "find everything anew, and keep nothing of this kernel for the next run");
  app.add_flag("!--no-structures", options.structures,
               "do without the kernel's structures, as where they cannot be found: processes are "
               "address spaces, without numbers and threads");
  app.add_flag("-v,--verbose", options.verbosity, "tell decisions (-v), wire bytes (-vv)");
}

void add_tracing(CLI::App& app, Options& options, Raw& raw) {
  app.add_option("--log", options.log, "SWAT's lines go to FILE; - is stdout")
      ->capture_default_str();
  app.add_option("--json", options.json, "JSON lines go to FILE as well; - is stdout");
  app.add_flag("--names", options.names, "append syscall name and process to SWAT's lines");
  // A value goes with '=' only: the word after the bare option may be a command.
  app.add_flag("--returns{syscalls}", raw.returns,
               "log results, too: of syscalls; --returns=calls: of functions; "
               "--returns=syscalls,calls: of both");
  app.add_option("--duration", raw.duration_s, "detach after so many seconds")
      ->check(CLI::PositiveNumber);
  app.add_option("--max-events", raw.max_events, "detach after so many syscalls and calls")
      ->check(CLI::PositiveNumber);
  app.add_option("--rate-cap", raw.rate_cap,
                 "log at most N/s of each syscall and function; the rest is counted in gap events");
  app.add_flag("--stats", options.stats, "tell at the end what tracing has cost");
  app.add_option("--break", raw.functions,
                 "trace MODULE!FUNCTION (globs) by breakpoints on the function itself");
  app.add_option("--break-budget", options.trace.breaks.budget,
                 "breakpoints that --break may set: each of them slows the whole guest")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--traps", options.traps,
                 "kind of traps (default: the cheapest that works); exec-log: calls by QEMU's "
                 "execution log, under TCG on this host, instead of its -d log")
      ->check(CLI::IsMember({"watch", "table", "hardware", "break", kExecLog.data()}));
  app.add_flag("--run", options.run, "run a guest that is paused, and pause it again at the end");
}

// Options as NAME = VALUE; what is on the command line goes before.
void add_config(CLI::App& app, Options& options) {
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config", "",
                 "more options, NAME = VALUE a line (TOML); SIGHUP reads it again while tracing")
      ->each([&](const std::string& path) { options.config = path; });
}

// One value each time it is given: the word after that may be a command.
void add_list(CLI::App& app, const char* name, std::vector<std::string>& values, const char* help) {
  app.add_option(name, values, help)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_selection(CLI::App& app, Raw& raw) {
  app.add_option("-e,--trace", raw.syscalls,
                 "system calls, as strace names them: trace=open,execve; !close (all but); "
                 "%process; all; none");
  add_list(app, "--calls", raw.calls, "calls of MODULE!FUNCTION (globs) only; none");
  add_list(app, "-p,--process", raw.processes,
           "events of this process only: PID or NAME, as ps lists them");
  app.add_flag("-f,--follow-forks", raw.follow, "and of what they fork from now on");
}

void add_commands(CLI::App& app, Options& options, Raw& raw) {
  const auto command = [&](const char* name, const char* help, Command value) {
    CLI::App* sub = app.add_subcommand(name, help)->fallthrough();
    sub->callback([&options, value] { options.command = value; });
    return sub;
  };
  command("ps", "list the processes of the guest", Command::kPs);
  const char* const of_one = "of this process only";
  command("modules", "list what is mapped", Command::kModules)
      ->add_option("-p,--pid", raw.pid, of_one);
  CLI::App* functions = command("functions", "list exported functions", Command::kFunctions);
  functions->add_option("-p,--pid", raw.pid, of_one);
  functions->add_option("glob", options.glob, "of these names, or MODULE!NAME")
      ->capture_default_str();
  CLI::App* profile = command("profile", "list where this kernel keeps what", Command::kProfile);
  profile->add_option("--export", options.isf,
                      "write a symbol table for Volatility 3 (ISF) to FILE");
  profile->add_flag("!--infer", options.use_btf,
                    "infer the offsets, though the kernel tells them (BTF)");
  command("doctor", "tell what this setup offers, what would be used, and what it lacks",
          Command::kDoctor);
  command("syscalls", "list what a build of Windows calls its system calls; needs no VM",
          Command::kSyscalls)
      ->add_option("build", options.syscall_table,
                   "as xp_sp3_x86 (default: the last of --os, else the builds are listed)");
  app.require_subcommand(0, 1);
}

Result<std::optional<gdbproto::Endpoint>> endpoint(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return SWAT_TRY(gdbproto::Endpoint::parse(text));
}

Result<Selection> selection_of(const Raw& raw) {
  Selection selection;
  if (raw.follow && raw.processes.empty()) {
    return fail(Errc::kUsage, "-f follows the children of the processes named with -p");
  }
  if (raw.syscalls) selection.syscalls = SWAT_TRY(SyscallFilter::parse(*raw.syscalls));
  selection.calls = SWAT_TRY(CallFilter::parse(raw.calls));
  selection.processes = SWAT_TRY(ProcessFilter::parse(raw.processes, raw.follow));
  selection.breaks_on_functions = !raw.functions.empty();
  return selection;
}

Result<> take_returns(std::string_view text, TraceOptions& trace) {
  if (text.empty() || text == "false") return {};
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    if (word == "syscalls" || word == "true") {  // true: of a configuration file
      trace.returns = true;
    } else if (word == "calls") {
      trace.call_returns = true;
    } else {
      return fail(Errc::kUsage, "--returns is of syscalls, or =calls, or =syscalls,calls");
    }
    begin = end + 1;
  }
  const Selection& selection = trace.selection;
  if (trace.call_returns && selection.calls.is_none() && !selection.breaks_on_functions) {
    return fail(Errc::kUsage, "--returns=calls: with --calls none there are none");
  }
  return {};
}

// "100/s", or "100".
Result<std::uint64_t> rate_of(std::string_view text) {
  std::string_view digits = text;
  if (digits.ends_with("/s")) digits.remove_suffix(2);
  std::uint64_t rate = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rate);
  if (error != std::errc{} || end != digits.data() + digits.size() || rate == 0) {
    return fail(Errc::kUsage, "--rate-cap is a number of events a second, as in 100/s");
  }
  return rate;
}

// The last build that --os can mean.
std::string syscall_table_of(std::string_view os) {
  if (os == "winxp") return "xp_sp3_x86";
  return os == "win10x64" ? "win10_19045_x64" : "";
}

Result<> take_vm(const Raw& raw, Options& options) {
  options.attach.gdb = SWAT_TRY(endpoint(raw.gdb));
  options.attach.qmp = SWAT_TRY(endpoint(raw.qmp));
  const bool is_told = options.attach.gdb || options.attach.qmp;
  if (is_told || options.command == Command::kSyscalls) return {};
  return fail(Errc::kUsage, "say which VM: --gdb HOST:PORT, --qmp unix:PATH, or both");
}

// What each command has no use for.
Result<> check_fit(const Options& options, const Raw& raw) {
  if (options.log == "-" && options.json == "-") {
    return fail(Errc::kUsage, "--log and --json cannot both go to stdout");
  }
  if (options.command != Command::kTrace && (!options.json.empty() || !raw.functions.empty())) {
    return fail(Errc::kUsage, "--json and --break are for tracing, not for this command");
  }
  const bool lists = options.command == Command::kProfile || options.command == Command::kSyscalls;
  if (lists && !options.profile.empty()) {
    return fail(Errc::kUsage, "--profile is for Windows guests, not for this command");
  }
  const bool plans = options.command == Command::kTrace || options.command == Command::kDoctor;
  if (!plans && raw.selects()) {
    return fail(Errc::kUsage, "-e, --calls, -p and -f are for tracing, not for this command");
  }
  return {};
}

Result<Options> checked(Options options, const Raw& raw) {
  if (options.syscall_table.empty()) options.syscall_table = syscall_table_of(options.os);
  // One model for all of its versions: which it is the guest tells.
  if (options.os.starts_with("win")) options.os = "windows";
  SWAT_CHECK(take_vm(raw, options));
  SWAT_CHECK(check_fit(options, raw));
  options.trace.selection = SWAT_TRY(selection_of(raw));
  SWAT_CHECK(take_returns(raw.returns, options.trace));
  options.trace.selection.watches_returns =
      options.trace.call_returns || (options.trace.returns && options.traps != break_kind().name());
  constexpr double kLongest = 1e9;  // 30 years
  if (!(raw.duration_s <= kLongest)) return fail(Errc::kUsage, "--duration is too long");
  if (raw.duration_s > 0) {
    options.trace.duration = std::chrono::milliseconds(static_cast<long>(raw.duration_s * 1000));
  }
  if (!raw.rate_cap.empty()) options.rate_cap = SWAT_TRY(rate_of(raw.rate_cap));
  if (raw.max_events > 0) options.trace.max_events = raw.max_events;
  if (raw.pid != 0) options.pid = raw.pid;
  if (!raw.files.empty()) options.trace.files = SWAT_TRY(RootFolder::open(raw.files));
  for (const std::string& text : raw.functions) {
    options.trace.breaks.functions.push_back(SWAT_TRY(FunctionPattern::parse(text)));
  }
  return options;
}

}  // namespace

Result<std::optional<Options>> parse_options(int argc, const char* const* argv) {
  Options options;
  Raw raw;
  CLI::App app(
      "Logs every system call and library call of a whole guest, from outside a stock QEMU.",
      "swatd");
  app.set_version_flag("--version", "swatd " SWAT_VERSION);
  add_connection(app, options, raw);
  add_tracing(app, options, raw);
  add_selection(app, raw);
  add_commands(app, options, raw);
  add_config(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return std::nullopt;
  } catch (const CLI::CallForVersion&) {
    std::puts(app.version().c_str());
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    return fail(Errc::kUsage, std::string(error.what()) + " (try --help)");
  }
  return SWAT_TRY(checked(std::move(options), raw));
}

}  // namespace swat::daemon
