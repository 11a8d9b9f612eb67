// `swatd doctor`: what this setup offers and lacks, what would be used, and what one stop costs
// here.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "daemon/commands.hpp"
#include "daemon/printable.hpp"
#include "daemon/setup_advice.hpp"
#include "daemon/trap_set.hpp"

namespace swat::daemon {
namespace {

using Clock = std::chrono::steady_clock;
using Micros = std::chrono::duration<double, std::micro>;
using std::chrono::milliseconds;

constexpr milliseconds kMeasureFor{500};
constexpr int kInterrupts = 20;

// `previous`: another way in may be seen by the same traps.
void print_plan(const EntryPlan& plan, const EntryPlan* previous) {
  const auto* abi = os::find_abi(plan.entry.kind);
  fmt::print("entry {:<9} {:x}, found by {}; trap: {}\n", abi->mnemonic, plan.entry.address.value,
             plan.entry.found_by, plan.to_string());
  const auto same_point = [](const Trap& x, const Trap& y) { return x.point == y.point; };
  if (previous != nullptr && std::ranges::equal(plan.traps, previous->traps, same_point)) return;
  for (const Trap& trap : plan.traps) {
    fmt::print("  {} of {} byte{} at {:x}\n", point_name(trap.point.kind), trap.point.size_bytes,
               trap.point.size_bytes == 1 ? "" : "s", trap.point.at.value);
  }
}

// From one of our stops to the guest running again, and the stub's own interrupt and resume.
Result<> measure_interrupts(gdbproto::Session& session) {
  Micros total{0};
  for (int i = 0; i < kInterrupts; ++i) {
    const auto start = Clock::now();
    SWAT_CHECK(session.resume());
    SWAT_CHECK(session.interrupt());
    SWAT_CHECK(session.wait_stop(gdbproto::Session::kReplyTimeout));
    total += Clock::now() - start;
  }
  fmt::print("cost: resume and interrupt {:.0f} us (mean of {})\n", total.count() / kInterrupts,
             kInterrupts);
  return {};
}

Result<> measure_stops(gdbproto::Session& session, const std::vector<EntryPlan>& plans) {
  TrapSet traps(session);
  for (const EntryPlan& plan : plans) {
    // A breakpoint would be hit for ever: nobody moves the vCPU on here.
    if (!plan.traps.front().is_breakpoint()) SWAT_CHECK(traps.add(plan.traps));
  }
  if (traps.size() == 0) return {};
  std::uint64_t stops = 0;
  const auto start = Clock::now();
  SWAT_CHECK(session.resume());
  while (Clock::now() - start < kMeasureFor) {
    const auto stop = session.wait_stop(milliseconds(50));
    if (!stop && stop.error().code == Errc::kTimeout) continue;
    if (!stop) return tl::unexpected(stop.error());
    ++stops;
    SWAT_CHECK(session.registers_and_resume(session.threads().front()));
  }
  const Micros elapsed = Clock::now() - start;
  SWAT_CHECK(session.interrupt());
  SWAT_CHECK(session.wait_stop(gdbproto::Session::kReplyTimeout));
  fmt::print("cost: {} syscalls in {:.0f} ms", stops, elapsed.count() / 1000);
  if (stops > 0)
    fmt::print(", one stop at least every {:.0f} us", elapsed.count() / static_cast<double>(stops));
  fmt::print("\n");
  return {};
}

std::string why_no_log(Vm& vm, const os::OsModel& model) {
  if (vm.guest().architecture() != os::Architecture::kX86_64 || model.word_bytes() != 8) {
    return "no, of x86_64 guests only";
  }
  const auto fifo = vm.prepare_log();
  return fifo ? "possible; the guest is 20 to 40 times slower meanwhile, and QEMU's own log silent"
              : "no, " + fifo.error().what;
}

VmSetup setup_of(Vm& vm, const AttachOptions& asked, const std::vector<EntryPlan>& plans) {
  VmSetup setup;
  // Both sockets are one process's.
  const gdbproto::Endpoint& listening = asked.gdb ? *asked.gdb : *asked.qmp;
  setup.qemu = where_qemu_is(listening);
  setup.owner = owner_of(listening);
  setup.ram = asked.ram.empty() ? vm.ram().name() : "";
  setup.ptrace_scope = ptrace_scope();
  setup.has_monitor = asked.qmp.has_value();
  const bool is_x86 = !vm.tables_source().empty();
  setup.shares_a_folder = !setup.has_monitor || !is_x86 ||
                          setup.qemu == VmSetup::QemuIs::kElsewhere ||
                          vm.tables_source() != "info registers";
  setup.is_kvm = vm.is_kvm();
  setup.version = QemuVersion::parse(vm.qemu_version());
  // The first way in is that of most programs.
  setup.flushes = !plans.empty() && !plans.front().is_silent &&
                  std::ranges::any_of(plans.front().traps, &Trap::is_breakpoint);
  setup.vcpus = static_cast<unsigned>(vm.guest().vcpu_count());
  setup.host_cpus = std::thread::hardware_concurrency();
  return setup;
}

void print_advice(const VmSetup& setup) {
  const auto all = advice_on(setup);
  if (all.empty()) fmt::print("lacks: nothing\n");
  for (const Advice& advice : all) {
    fmt::print("lacks: {}\n  to get it: {}\n", advice.lack, advice.cure);
  }
}

Result<> measure(Vm& vm, const std::vector<EntryPlan>& plans) {
  SWAT_CHECK(measure_interrupts(vm.session()));
  if (vm.guest().machine().stops_before_access) return {};  // it would stop there for ever
  return measure_stops(vm.session(), plans);
}

}  // namespace

Result<> print_doctor(Vm& vm, os::OsModel& model, const Planner& planner,
                      const Selection& selection, const AttachOptions& asked) {
  fmt::print("QEMU {}, {}, {} vCPU{}, {}\n", vm.qemu_version(), vm.is_kvm() ? "KVM" : "TCG",
             vm.guest().vcpu_count(), vm.guest().vcpu_count() == 1 ? "" : "s",
             os::to_string(vm.guest().architecture()));
  fmt::print("guest: {} {}\n", model.name(), model.version());
  for (const std::string& line : model.provenance()) fmt::print("known by: {}\n", printable(line));
  fmt::print("system registers: {}\n", vm.tables_source());
  fmt::print("RAM: {}{}{}\n", vm.ram().name(), vm.ram_choice().empty() ? "" : "; not ",
             vm.ram_choice());
  const auto plans = SWAT_TRY(planner.entries(vm.guest(), model, selection));
  for (std::size_t i = 0; i < plans.size(); ++i) {
    print_plan(plans[i], i == 0 ? nullptr : &plans[i - 1]);
  }
  fmt::print("calls: {}\n", planner.uses_exec_log()        ? "execution log"
                            : planner.imports() == nullptr ? "only those named with --break"
                                                           : "import watches");
  fmt::print("calls by the execution log (--traps exec-log): {}\n", why_no_log(vm, model));
  const auto silent = vm.can_run_silently();
  fmt::print("stops at breakpoints: {}\n",
             silent ? "silent, and QEMU keeps its translations, in a trace without watchpoints"
                    : "reported, as " + silent.error().what);
  print_advice(setup_of(vm, asked, plans));
  if (vm.was_running()) return measure(vm, plans);
  fmt::print("the guest is paused: nothing measured\n");
  return {};
}

void print_doctor_unconnected(const AttachOptions& asked) {
  const auto print = [](const std::optional<gdbproto::Endpoint>& to, const char* option) {
    if (!to) return;
    const auto advice = advice_on_connecting(*to, option);
    if (advice) fmt::print("lacks: {}\n  to get it: {}\n", advice->lack, advice->cure);
  };
  print(asked.gdb, "-gdb");
  print(asked.qmp, "-qmp");
}

}  // namespace swat::daemon
