#include "daemon/trace_command.hpp"

#include <spdlog/spdlog.h>

#include "daemon/run_cost.hpp"
#include "daemon/tracer.hpp"

namespace swat::daemon {
namespace {

using Clock = std::chrono::steady_clock;

Result<EventLog> open_log(const Options& options) {
  EventLog log;
  log.add(make_swat_sink(SWAT_TRY(LineFile::open(options.log)), options.names));
  if (!options.json.empty()) log.add(make_json_sink(SWAT_TRY(LineFile::open(options.json))));
  return log;
}

void set_cap(EventLog& log, const std::optional<std::uint64_t>& rate) {
  log.cap(rate ? std::optional(RateCap(*rate, Clock::now())) : std::nullopt);
}

// What a model without threads and numbers of processes cannot do.
Result<> check_possible(const os::OsModel& model, const TraceOptions& what,
                        const Planner& planner) {
  if (model.tells_threads()) return {};
  const ProcessFilter& processes = what.selection.processes;
  const auto refuse = [](std::string_view asked) {
    return fail(Errc::kUnsupported, std::string(asked) + " needs the kernel's structures");
  };
  if (what.returns || what.call_returns) return refuse("--returns");
  if (!processes.pids.empty()) return refuse("-p NUMBER");
  if (processes.follow) return refuse("-f");
  if (planner.uses_exec_log()) return refuse("--traps exec-log");
  return {};
}

// What one Tracer after the other is made with.
struct Request {
  Planner planner;
  TraceOptions what;
};

// nullopt: what was read does not do.
std::optional<Request> read_again(const TraceSetup& setup, EventLog& log) {
  const auto refuse = [](const Error& error) {
    spdlog::error("{}; all stays as it was", error.what);
    return std::nullopt;
  };
  const auto options = setup.reread();
  if (!options) return refuse(options.error());
  if (!*options) return {};
  auto planner = Planner::make(setup.vm, (*options)->traps);
  if (!planner) return refuse(planner.error());
  const auto possible = check_possible(setup.model, (*options)->trace, *planner);
  if (!possible) return refuse(possible.error());
  set_cap(log, (*options)->rate_cap);
  spdlog::info("read {} again", setup.options.config);
  return Request{*std::move(planner), (*options)->trace};
}

Result<> trace_by(const TraceSetup& setup, EventLog& log, Request request,
                  std::uint64_t& idle_stops) {
  const auto begin = Clock::now();
  const auto duration = request.what.duration;
  std::optional<Request> before;
  for (;;) {
    if (duration) {
      request.what.duration =
          *duration - std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    }
    request.what.selection.follows_calls = setup.model.follows_calls();
    if (request.what.returns && returns_through_stubs(setup.model)) {
      request.what.selection.watches_returns = true;
    }
    Tracer tracer(setup.vm, setup.model, setup.loop, log, request.planner, request.what);
    auto traced = tracer.run();
    idle_stops += tracer.idle_stops();
    if (!traced && traced.error().code == Errc::kUsage && before) {
      spdlog::error("{}; all stays as it was", traced.error().what);
      request = *std::exchange(before, std::nullopt);
      continue;
    }
    if (!traced || setup.loop.stop_requested() || !setup.loop.take_reload()) return traced;
    if (setup.options.config.empty()) return {};  // a terminal that has gone
    auto again = read_again(setup, log);
    if (!again) continue;
    before = std::exchange(request, *std::move(again));
  }
}

}  // namespace

Result<> trace(const TraceSetup& setup, Planner planner) {
  auto& [vm, model, loop, options, reread] = setup;
  if (!vm.was_running() && !options.run) {
    return fail(Errc::kUsage,
                "the guest is paused: resume it (QMP cont) first, or pass --run to have it run "
                "while it is traced and paused again at the end");
  }
  SWAT_CHECK(check_possible(model, options.trace, planner));
  EventLog log = SWAT_TRY(open_log(options));
  set_cap(log, options.rate_cap);
  vm.close_monitor();
  std::optional<CostReading> before;
  if (options.stats) before = CostReading::take(vm, model);
  std::uint64_t idle_stops = 0;
  const auto traced = trace_by(setup, log, {std::move(planner), options.trace}, idle_stops);
  spdlog::info("{} events, {} stops, {} of them no event", log.written(),
               vm.session().stats().stops, idle_stops);
  if (before) {
    const auto after = CostReading::take(vm, model);
    for (const auto& line : describe_cost(*before, after, {log.traced(), idle_stops})) {
      spdlog::info("stats: {}", line);
    }
  }
  return traced;
}

}  // namespace swat::daemon
