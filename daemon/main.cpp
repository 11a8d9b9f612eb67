// swatd: attach, do what was asked, leave the VM as it was found.
#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <csignal>
#include <cstdio>

#include "daemon/commands.hpp"
#include "daemon/given_profile.hpp"
#include "daemon/options.hpp"
#include "daemon/printable.hpp"
#include "daemon/profile_files.hpp"
#include "daemon/trace_command.hpp"
#include "osmodels/windows/given_offsets.hpp"

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
  std::fprintf(stderr, "swatd: %s", printable(error.what).c_str());
  if (error.guest)
    std::fprintf(stderr, " (at %llx)", static_cast<unsigned long long>(*error.guest));
  std::fputc('\n', stderr);
  return exit_code(error, attached);
}

Result<std::unique_ptr<os::OsModel>> find_model(Vm& vm, const std::string& name,
                                                const os::AttachWishes& wishes) {
  std::string reasons;
  for (const os::OsProbe& probe : os::os_probes()) {
    if (name != "auto" && name != probe.name) continue;
    auto model = probe.attach(vm.guest(), wishes);
    if (model || model.error().code == Errc::kDisconnected) return model;
    if (model.error().code == Errc::kUsage) return model;  // nor is it another moment's
    const std::string reason = std::string(probe.name) + ": " + model.error().what;
    // It is that system, and no other.
    if (model.error().code != Errc::kNotFound) return fail(Errc::kUnsupported, reason);
    reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  if (reasons.empty()) reasons = "there is no model of " + name + " yet";
  return fail(Errc::kUnsupported, reasons);
}

// A guest that was stopped in the middle of a change (a process being made, its files not open yet)
// may show nothing to go by: the next moment may.
Result<std::unique_ptr<os::OsModel>> find_model_in_time(Vm& vm, const std::string& name,
                                                        const os::AttachWishes& wishes) {
  constexpr int kMoments = 4;
  constexpr std::chrono::milliseconds kBetween{50};
  auto model = find_model(vm, name, wishes);
  for (int i = 1; i < kMoments && !model && model.error().code == Errc::kUnsupported; ++i) {
    if (!vm.was_running()) break;
    spdlog::debug("{}; once more in {} ms", model.error().what, kBetween.count());
    SWAT_CHECK(vm.run_for(kBetween));
    model = find_model(vm, name, wishes);
  }
  return model;
}

// Where the kernel's structures are not known for certain, tracing goes on without them.
// `given`: of --profile; null for none.
Result<std::unique_ptr<os::OsModel>> find_some_model(Vm& vm, const Options& options,
                                                     const symbols::MemberProfile* given) {
  const auto folder = options.profile_cache ? ProfileFiles::default_folder() : std::nullopt;
  std::optional<ProfileFiles> store;
  if (folder) store.emplace(*folder);
  os::AttachWishes wishes{store ? &*store : nullptr, {}, vm.ram().is_local(), given};
  if (options.structures) {
    auto model = find_model_in_time(vm, options.os, wishes);
    if (model || model.error().code != Errc::kUnsupported) return model;
    wishes.without_structures = model.error().what;
  } else {
    wishes.without_structures = "as --no-structures was given";
  }
  auto model = find_model(vm, options.os, wishes);
  if (!model) return fail(model.error().code, "no guest that swatd knows: " + model.error().what);
  spdlog::warn("going on without the kernel's structures: {}", wishes.without_structures);
  return model;
}

Result<> execute(Vm& vm, gdbproto::IoLoop& loop, const Options& options,
                 const symbols::MemberProfile* given, const OptionsReader& reread) {
  Planner planner = SWAT_TRY(Planner::make(vm, options.traps));
  if (options.command == Command::kProfile) {
    return print_profile(vm.guest(), options.isf, options.use_btf);
  }
  const auto start = std::chrono::steady_clock::now();
  const auto model = SWAT_TRY(find_some_model(vm, options, given));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  spdlog::info("{} {} on QEMU {} ({}), found in {:.2f} s", model->name(), model->version(),
               vm.qemu_version(), vm.is_kvm() ? "KVM" : "TCG", took.count());
  switch (options.command) {
    case Command::kPs:
      return print_processes(*model);
    case Command::kModules:
      return print_modules(*model, options.pid);
    case Command::kFunctions:
      return print_functions(*model, options.pid, options.glob, options.trace.files);
    case Command::kDoctor:
      return print_doctor(vm, *model, planner, options.trace.selection, options.attach);
    case Command::kProfile:
    case Command::kSyscalls:
      break;
    case Command::kTrace:
      return trace({vm, *model, loop, options, reread}, std::move(planner));
  }
  return fail(Errc::kUsage, "no such command");
}

// Before anything is attached to.
Result<std::optional<symbols::MemberProfile>> given_profile(const Options& options) {
  if (options.profile.empty()) return std::nullopt;
  return SWAT_TRY(read_given_profile(options.profile, os::windows::given_member_names()));
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
  if ((*options)->command == Command::kSyscalls) {
    const auto done = print_syscalls((*options)->syscall_table);
    return done ? 0 : complain(done.error(), false);
  }
  const auto given = given_profile(**options);
  if (!given) return complain(given.error(), false);
  // Blocks of this size go back to the system when they are freed. Unset, glibc raises the limit to
  // the largest it has seen, and swatd would stay as large as its largest burst. [mallopt(3)]
  constexpr int kOwnMapping = 512 << 10;
  mallopt(M_MMAP_THRESHOLD, kOwnMapping);
  // A log's reader that goes away, or the guardian's end, is a failed write: the VM is released.
  std::signal(SIGPIPE, SIG_IGN);
  auto guardian = Guardian::start();
  if (!guardian) return complain(guardian.error(), false);
  gdbproto::IoLoop loop;
  auto vm = Vm::attach(loop, *guardian, (*options)->attach);
  if (!vm) {
    const bool is_unconnected = vm.error().code == Errc::kDisconnected;
    if (is_unconnected && (*options)->command == Command::kDoctor) {
      print_doctor_unconnected((*options)->attach);
    }
    return complain(vm.error(), false);
  }
  const auto done = execute(**vm, loop, **options, *given ? &**given : nullptr,
                            [&] { return parse_options(argc, argv); });
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
