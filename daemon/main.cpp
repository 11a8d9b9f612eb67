// swatd: attach, do what was asked, leave the VM as it was found.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>

#include "daemon/commands.hpp"
#include "daemon/options.hpp"
#include "daemon/run_cost.hpp"

namespace swat::daemon {
namespace {

// Exit codes, by what went wrong. Distinct, so that scripts can tell (README.md, "Exit codes").
struct ExitRow {
  Errc code;
  int exit;
};

constexpr ExitRow kExits[] = {
    {Errc::kUsage, 2},       {Errc::kDisconnected, 3}, {Errc::kProtocol, 4}, {Errc::kTimeout, 5},
    {Errc::kUnsupported, 6}, {Errc::kNotFound, 6},     {Errc::kBadImage, 6}, {Errc::kFault, 6},
};
constexpr int kInternalError = 1;
constexpr int kLostConnection = 7;

int exit_code(const Error& error, bool attached) {
  if (attached && error.code == Errc::kDisconnected) return kLostConnection;
  for (const ExitRow& row : kExits) {
    if (row.code == error.code) return row.exit;
  }
  return kInternalError;
}

int complain(const Error& error, bool attached) {
  std::fprintf(stderr, "swatd: %s", error.what.c_str());
  if (error.guest)
    std::fprintf(stderr, " (at %llx)", static_cast<unsigned long long>(*error.guest));
  std::fputc('\n', stderr);
  return exit_code(error, attached);
}

Result<std::unique_ptr<os::OsModel>> find_model(Vm& vm, const std::string& name) {
  std::string reasons;
  for (const os::OsProbe& probe : os::os_probes()) {
    if (name != "auto" && name != probe.name) continue;
    auto model = probe.attach(vm.guest());
    if (model || model.error().code == Errc::kDisconnected) return model;
    reasons += std::string(reasons.empty() ? "" : "; ") + std::string(probe.name) + ": " +
               model.error().what;
  }
  if (reasons.empty()) reasons = "there is no model of " + name + " yet";
  return fail(Errc::kUnsupported, "the guest is not one that swatd knows: " + reasons);
}

Result<> trace(Vm& vm, os::OsModel& model, gdbproto::IoLoop& loop, const Options& options,
               Planner planner) {
  if (!vm.was_running() && !options.run) {
    return fail(Errc::kUsage,
                "the guest is paused: resume it (QMP cont) first, or pass --run to have it run "
                "while it is traced and paused again at the end");
  }
  EventLog log;
  log.add(make_swat_sink(SWAT_TRY(LineFile::open(options.log)), options.names));
  if (!options.json.empty()) log.add(make_json_sink(SWAT_TRY(LineFile::open(options.json))));
  if (options.rate_cap) log.cap(RateCap(*options.rate_cap, RateCap::Clock::now()));
  vm.close_monitor();
  std::optional<CostReading> before;
  if (options.stats) before = CostReading::take(vm, model);
  Tracer tracer(vm, model, loop, log, std::move(planner), options.trace);
  const auto traced = tracer.run();
  spdlog::info("{} events, {} stops, {} of them no event", log.written(),
               vm.session().stats().stops, tracer.idle_stops());
  if (before) {
    const auto after = CostReading::take(vm, model);
    for (const auto& line : describe_cost(*before, after, {log.traced(), tracer.idle_stops()})) {
      spdlog::info("stats: {}", line);
    }
  }
  return traced;
}

Result<> execute(Vm& vm, gdbproto::IoLoop& loop, const Options& options) {
  Planner planner = SWAT_TRY(Planner::make(vm, options.traps));
  const auto model = SWAT_TRY(find_model(vm, options.os));
  spdlog::info("{} {} on QEMU {} ({})", model->name(), model->version(), vm.qemu_version(),
               vm.is_kvm() ? "KVM" : "TCG");
  switch (options.command) {
    case Command::kPs:
      return print_processes(*model);
    case Command::kModules:
      return print_modules(*model, options.pid);
    case Command::kFunctions:
      return print_functions(*model, options.pid, options.glob);
    case Command::kDoctor:
      return print_doctor(vm, *model, planner, options.trace.selection);
    case Command::kTrace:
      return trace(vm, *model, loop, options, std::move(planner));
  }
  return fail(Errc::kUsage, "no such command");
}

void set_up_diagnostics(int verbosity) {
  spdlog::set_default_logger(spdlog::stderr_logger_st("swatd"));
  spdlog::set_pattern("swatd: %^%l%$: %v");
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::info, spdlog::level::debug,
                                                   spdlog::level::trace};
  spdlog::set_level(kLevels[std::min(verbosity, 2)]);
}

int run(int argc, char** argv) {
  auto options = parse_options(argc, argv);
  if (!options) return complain(options.error(), false);
  if (!*options) return 0;
  set_up_diagnostics((*options)->verbosity);
  // A log's reader that goes away, or the guardian's end, is a failed write: the VM is released.
  std::signal(SIGPIPE, SIG_IGN);
  auto guardian = Guardian::start();
  if (!guardian) return complain(guardian.error(), false);
  gdbproto::IoLoop loop;
  auto vm = Vm::attach(loop, *guardian, (*options)->attach);
  if (!vm) return complain(vm.error(), false);
  const auto done = execute(**vm, loop, **options);
  std::fflush(stdout);
  const auto released = (*vm)->release();
  if (!done) return complain(done.error(), true);
  if (!released) return complain(released.error(), true);
  return 0;
}

}  // namespace
}  // namespace swat::daemon

int main(int argc, char** argv) {
  try {
    return swat::daemon::run(argc, argv);
  } catch (const std::exception& error) {
    // The stack has been unwound: the VM is released, or the guardian sees to it.
    std::fprintf(stderr, "swatd: internal error: %s\n", error.what());
    return 1;
  }
}
