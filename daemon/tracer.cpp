#include "daemon/tracer.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "daemon/call_resolver.hpp"
#include "daemon/vcpu_writes.hpp"

namespace swat::daemon {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSlice{100};  // how late a deadline may be noticed in an idle guest
constexpr milliseconds kReapEvery{1000};
constexpr milliseconds kOwnStopWait{300};
constexpr std::uint8_t kSignalInterrupt = 2;

bool is_kernel_address(std::uint64_t address) { return (address >> 63) != 0; }

}  // namespace

Tracer::Tracer(Vm& vm, os::OsModel& model, gdbproto::IoLoop& loop, EventLog& log, Planner planner,
               TraceOptions options)
    : vm_(vm),
      model_(model),
      loop_(loop),
      log_(log),
      planner_(std::move(planner)),
      options_(std::move(options)),
      processes_(model),
      traps_(vm.session()),
      module_traps_(processes_, traps_, log, planner_.imports(), options_.functions) {}

Result<> Tracer::run() {
  SWAT_CHECK(arm());
  tracing_ = true;
  const auto now = Clock::now();
  next_reap_ = now + kReapEvery;
  end_ = options_.duration ? now + *options_.duration : Clock::time_point::max();
  SWAT_CHECK(vm_.session().resume());
  auto traced = loop_until_done();
  loop_.acknowledge_stop();
  if (!traced && traced.error().code == Errc::kDisconnected) return traced;
  SWAT_CHECK(stop_guest());
  SWAT_CHECK(log_.flush());
  return traced;
}

Result<> Tracer::arm() {
  for (const os::Process& process : SWAT_TRY(model_.processes())) {
    alive_.emplace(process.pid, process);
    if (process.memory_object.is_null()) continue;
    const os::Thread thread{process.object, process.pid, process};
    // A process in the middle of its own exit or exec has unreadable maps; its next event retries.
    if (auto read = module_traps_.refresh(thread, {}, false); !read) {
      if (read.error().code == Errc::kDisconnected) return read;
      spdlog::debug("maps of {} ({}): {}", process.pid, process.name, read.error().what);
    }
  }
  for (const EntryPlan& plan : SWAT_TRY(planner_.entries(vm_.guest(), model_))) {
    spdlog::info("{} entry at {:x} ({}): {}{}{}", os::linux_os::find_abi(plan.entry.kind)->mnemonic,
                 plan.entry.address.value, plan.entry.found_by, plan.kind->name(),
                 plan.why.empty() ? "" : ", ", plan.why);
    SWAT_CHECK(traps_.add(plan.traps));
    for (const Trap& trap : plan.traps) entries_.push_back(std::get<EntryTrap>(trap.what));
  }
  if (planner_.imports() == nullptr) spdlog::info("calls: only of functions named with --break");
  spdlog::info("{} processes, {} points", alive_.size(), traps_.size());
  return {};
}

bool Tracer::is_done() const {
  return loop_.stop_requested() || Clock::now() >= end_ ||
         (options_.max_events && log_.traced() >= *options_.max_events);
}

Result<> Tracer::loop_until_done() {
  auto next_flush = Clock::now() + kSlice;
  while (!is_done()) {
    const auto stop = vm_.session().wait_stop(kSlice);
    if (stop) {
      SWAT_CHECK(handle(*stop));
    } else if (stop.error().code == Errc::kInterrupted) {
      return {};
    } else if (stop.error().code != Errc::kTimeout) {
      return tl::unexpected(stop.error());
    }
    if (const auto now = Clock::now(); now >= next_flush) {
      SWAT_CHECK(log_.flush());
      next_flush = now + kSlice;
    }
  }
  return {};
}

// Best at a stop of our own: then no vCPU has a hit that QEMU has not told us of, and removing the
// points leaves nothing dangling in it (facts/qemu.md 0.2). An idle guest has to be interrupted.
Result<> Tracer::stop_guest() {
  if (!vm_.session().running()) return {};
  auto stop = vm_.session().wait_stop(kOwnStopWait);
  if (!stop && stop.error().code == Errc::kTimeout) {
    SWAT_CHECK(vm_.session().interrupt());
    stop = vm_.session().wait_stop(gdbproto::Session::kReplyTimeout);
  }
  if (!stop) return tl::unexpected(stop.error());
  if (stop->exited) return fail(Errc::kDisconnected, "QEMU has exited");
  vm_.guest().forget();
  model_.forget();
  return {};
}

Result<> Tracer::handle(const gdbproto::StopReply& stop) {
  if (stop.exited) return fail(Errc::kDisconnected, "QEMU has exited");
  vm_.guest().forget();
  model_.forget();
  const unsigned vcpu = stop.thread ? stop.thread->thread - 1 : 0;
  if (vcpu >= vm_.session().threads().size()) {
    return fail(Errc::kProtocol, "stop of a vCPU that there is not");
  }
  if (is_smp()) SWAT_CHECK(settle_others(vcpu));
  if (stop.watch) return on_watch(vcpu, *stop.watch);
  if (stop.signal == kSignalInterrupt) return on_foreign_stop();
  return on_breakpoint(vcpu);
}

// Somebody else has paused the VM (QMP `stop`). It is theirs to resume; what we can do is to be
// there when it runs again.
Result<> Tracer::on_foreign_stop() {
  spdlog::warn("the VM was paused by someone else; tracing goes on when it is resumed");
  while (!is_done()) {
    const auto resumed = vm_.wait_until_resumed(kSlice);
    if (resumed) {
      log_.write({}, GapEvent{0, "the VM was paused and resumed by someone else"});
      return vm_.session().resume();
    }
    if (resumed.error().code == Errc::kInterrupted) return {};
    if (resumed.error().code != Errc::kTimeout) return tl::unexpected(resumed.error());
  }
  return {};
}

Result<os::Thread> Tracer::meet(unsigned vcpu) {
  auto thread = model_.current(vcpu);
  const auto time = model_.wall_clock_ns();
  guest_time_ = time ? std::optional(*time) : std::nullopt;
  if (!thread) {
    if (thread.error().code == Errc::kDisconnected) return thread;
    // The event is real all the same; whose it is, nobody can tell.
    spdlog::debug("vCPU {} runs no task that can be read: {}", vcpu, thread.error().what);
    thread = os::Thread{};
    thread->process.name = "?";
  }
  const EventLog::Scene scene = scene_of(vcpu, *thread);
  if (thread->process.pid != 0 && !alive_.contains(thread->process.pid)) {
    start_process(*thread, scene);
  }
  if (processes_.is_stale(*thread)) {
    const auto read = module_traps_.refresh(*thread, scene, true);
    if (!read && read.error().code == Errc::kDisconnected) return tl::unexpected(read.error());
    if (!read) spdlog::debug("maps of {}: {}", thread->process.pid, read.error().what);
  }
  if (Clock::now() >= next_reap_) SWAT_CHECK(reap());
  SWAT_CHECK(traps_.flush_removals());
  return thread;
}

Result<> Tracer::on_watch(unsigned vcpu, Va watch) {
  const os::Thread thread = SWAT_TRY(meet(vcpu));
  const auto traps = traps_.at_watch(watch);
  if (traps.empty()) {  // removed a moment ago, or left behind by another client
    ++idle_stops_;
    return vm_.session().resume();
  }
  if (std::holds_alternative<ImportTrap>(traps.front()->what)) {
    return on_import_watch(vcpu, watch, thread);
  }
  return on_entry_watch(vcpu, traps, thread);
}

Result<> Tracer::on_entry_watch(unsigned vcpu, const std::vector<const Trap*>& traps,
                                const os::Thread& thread) {
  const auto id = vm_.session().threads()[vcpu];
  if (!is_smp()) {
    vm_.guest().remember(vcpu, SWAT_TRY(vm_.session().registers_and_resume(id)));
  }
  const Va pc{reg(vcpu, "rip")};
  const auto is_it = [&](const Trap* trap) {
    const auto& entry = std::get<EntryTrap>(trap->what);
    return entry.stop_pc == pc || (is_smp() && entry.late_pc == pc);
  };
  const auto trap = std::find_if(traps.begin(), traps.end(), is_it);
  if (trap != traps.end()) {
    log_syscall(vcpu, std::get<EntryTrap>((*trap)->what), thread);
  } else {
    ++idle_stops_;
  }
  if (!is_smp()) return {};
  // Not to be found here again when another vCPU stops before this one has run.
  return trap != traps.end() ? step_over(vcpu, pc, true, thread) : vm_.session().resume();
}

std::optional<Call> Tracer::call_at(unsigned vcpu, Va watch, const os::Thread& thread) {
  ProcessView* view = processes_.find(thread.process);
  if (view == nullptr) return {};
  const std::uint64_t pc = reg(vcpu, "rip");
  CallSite site{watch, Va{pc}, Va{reg(vcpu, "cr2")}, is_kernel_address(pc), {}};
  const auto memory = model_.memory(thread.process);
  if (!site.in_kernel) {
    std::uint64_t word = 0;
    const auto raw = std::as_writable_bytes(std::span(&word, 1));
    const std::size_t size = thread.process.is_32_bit ? 4 : 8;
    if (memory->read(Va{reg(vcpu, "rsp")}, raw.first(size))) site.return_address = Va{word};
  }
  return resolve_call(*view, *memory, site);
}

Result<> Tracer::on_import_watch(unsigned vcpu, Va watch, const os::Thread& thread) {
  const Va pc{reg(vcpu, "rip")};
  std::optional<Call> call = call_at(vcpu, watch, thread);
  if (call && is_smp() && !is_kernel_address(pc.value)) {
    SWAT_CHECK(step_over(vcpu, pc, false, thread));
  } else {
    SWAT_CHECK(vm_.session().resume());
  }
  log_import(vcpu, std::move(call), thread);
  return {};
}

// A breakpoint on the callee reports the call itself.
void Tracer::log_import(unsigned vcpu, std::optional<Call> call, const os::Thread& thread) {
  if (!call || traps_.at_breakpoint(call->address) != nullptr) {
    ++idle_stops_;
    return;
  }
  log_.write(scene_of(vcpu, thread),
             CallEvent{call->address, std::move(call->function), std::move(call->module),
                       call->return_address, std::move(call->caller_module)});
}

Result<> Tracer::on_breakpoint(unsigned vcpu) {
  const Va pc{reg(vcpu, "rip")};
  const Trap* trap = traps_.at_breakpoint(pc);
  if (trap == nullptr) {
    ++idle_stops_;
    return vm_.session().resume();
  }
  const bool in_kernel = is_kernel_address(pc.value);
  const Trap hit = *trap;  // meet() may move traps
  const os::Thread thread = SWAT_TRY(meet(vcpu));
  if (const auto* entry = std::get_if<EntryTrap>(&hit.what)) {
    log_syscall(vcpu, *entry, thread);
  } else if (const auto* function = std::get_if<FunctionTrap>(&hit.what)) {
    const FaultedCall here{pc, Va{reg(vcpu, "rsp")}};
    const auto faulted = faulted_calls_.find(thread.tid);
    if (faulted != faulted_calls_.end() && faulted->second == here) {
      faulted_calls_.erase(faulted);
    } else {
      log_call(vcpu, *function, pc, thread);
    }
  }
  return step_over(vcpu, pc, in_kernel, thread);
}

Result<> Tracer::step_over(unsigned vcpu, Va pc, bool in_kernel, const os::Thread& thread) {
  const auto memory = in_kernel ? nullptr : model_.memory(thread.process);
  VirtualMemory& code = in_kernel ? model_.kernel_memory() : *memory;
  const unsigned bits = !in_kernel && thread.process.is_32_bit ? 32 : 64;
  if (const auto skip = os::x86::understand(code, pc, bits)) {
    VcpuWrites writes(vm_.session(), vm_.guest(), vcpu);
    if (skip->apply(writes)) return writes.resume_at(skip->next);
  }
  const Va sp{reg(vcpu, "rsp")};
  const auto stop = step(vcpu);
  if (!stop && stop.error().code != Errc::kTimeout) return tl::unexpected(stop.error());
  if (stop && stop->watch) return handle(*stop);  // the instruction itself has met a watch
  // The page of the instruction was absent: the step went to the fault handler, and the thread will
  // be back at this very call.
  if (stop && !in_kernel && is_kernel_address(reg(vcpu, "rip"))) {
    faulted_calls_[thread.tid] = FaultedCall{pc, sp};
  }
  return stop ? vm_.session().resume() : Result<>{};
}

void Tracer::log_syscall(unsigned vcpu, const EntryTrap& entry, const os::Thread& thread) {
  const os::linux_os::SyscallAbi& abi = *entry.abi;
  const std::uint64_t mask = abi.word == 8 ? ~std::uint64_t{0} : 0xffffffff;
  SyscallEvent call{abi.mnemonic, reg(vcpu, abi.number) & mask, {}, {}};
  call.name = os::linux_os::syscall_name(abi, call.number);
  for (std::size_t i = 0; i < abi.args.size(); ++i) {
    call.arguments[i] = argument(vcpu, abi.args[i], thread, mask);
  }
  const EventLog::Scene scene = scene_of(vcpu, thread);
  const auto effect = os::linux_os::effect_of(call.name);
  log_.write(scene, call);
  if (effect == os::linux_os::Effect::kExits) return end_process(thread.process.pid, scene);
  if (effect != os::linux_os::Effect::kNone && may_move_modules(effect, abi, call, thread)) {
    processes_.will_remap(thread);
  }
}

// Allocators map and unmap anonymous memory all day; no module comes or goes with it.
bool Tracer::may_move_modules(os::linux_os::Effect effect, const os::linux_os::SyscallAbi& abi,
                              const SyscallEvent& call, const os::Thread& thread) {
  constexpr std::uint64_t kAnonymous = 0x20;                       // MAP_ANONYMOUS
  const bool in_registers = abi.word == 8 || call.name != "mmap";  // i386's first mmap: a struct
  if (effect == os::linux_os::Effect::kMaps && in_registers && call.name.starts_with("mmap")) {
    return (call.arguments[3].value_or(0) & kAnonymous) == 0;
  }
  if (effect == os::linux_os::Effect::kUnmaps) {
    const ProcessView* view = processes_.find(thread.process);
    const Va start{call.arguments[0].value_or(0)};
    const VaRange gone{start, start + call.arguments[1].value_or(0)};
    return view != nullptr && view->has_module_in(gone);
  }
  return true;
}

std::optional<std::uint64_t> Tracer::argument(unsigned vcpu, const os::linux_os::ArgAt& at,
                                              const os::Thread& thread, std::uint64_t mask) {
  const std::uint64_t value = reg(vcpu, at.reg) & mask;
  if (!at.in_memory) return value;
  // The caller's stack is its own again as soon as the guest runs.
  if (vm_.session().running()) return {};
  const auto word = read_as<std::uint32_t>(*model_.memory(thread.process), Va{value} + at.offset);
  return word ? std::optional<std::uint64_t>(*word) : std::nullopt;
}

void Tracer::log_call(unsigned vcpu, const FunctionTrap& what, Va pc, const os::Thread& thread) {
  ProcessView* view = processes_.find(thread.process);
  const LoadedModule* holder = view == nullptr ? nullptr : view->module_at(pc);
  // Another process has something else at this address.
  if (holder == nullptr || holder->module.name() != what.module) return;
  CallEvent call{pc, what.function, what.module, {}, {}};
  const auto memory = model_.memory(thread.process);
  const Va sp{reg(vcpu, "rsp")};
  std::uint64_t word = 0;
  auto raw = std::as_writable_bytes(std::span(&word, 1)).first(what.bits / 8);
  if (memory->read(sp, raw)) call.caller = Va{word};
  if (const auto* caller = call.caller ? view->module_at(*call.caller) : nullptr) {
    call.caller_module = caller->module.name();
  }
  log_.write(scene_of(vcpu, thread), std::move(call));
}

void Tracer::start_process(const os::Thread& thread, const EventLog::Scene& scene) {
  alive_.emplace(thread.process.pid, thread.process);
  const ProcessView* view = processes_.find(thread.process);
  const bool has_image = view != nullptr && !view->modules.empty();
  log_.write(scene, ProcessEvent{true, thread.process.parent_pid,
                                 has_image ? view->modules.front().module.path : ""});
}

void Tracer::end_process(std::uint32_t pid, const EventLog::Scene& scene) {
  const auto known = alive_.extract(pid);
  if (known.empty()) return;
  log_.write(scene, ProcessEvent{false, known.mapped().parent_pid, {}});
  std::vector<Va> spaces;
  for (const auto& [object, view] : processes_.all()) {
    if (view->pids.contains(pid)) spaces.push_back(Va{object});
  }
  for (const Va object : spaces) module_traps_.forget(object, pid);
}

// Processes that a signal has killed make no syscall to say so.
Result<> Tracer::reap() {
  next_reap_ = Clock::now() + kReapEvery;
  const auto processes = model_.processes();
  if (!processes) return {};
  std::unordered_map<std::uint32_t, bool> present;
  for (const os::Process& process : *processes) present[process.pid] = true;
  std::vector<os::Process> gone;
  for (const auto& [pid, process] : alive_) {
    if (!present.contains(pid)) gone.push_back(process);
  }
  for (const os::Process& process : gone) {
    EventLog::Scene scene{0, process.page_table.value_or(Pa{}), process.pid, process.pid,
                          process.name};
    end_process(process.pid, scene);
  }
  return {};
}

EventLog::Scene Tracer::scene_of(unsigned vcpu, const os::Thread& thread) const {
  return {vcpu,
          thread.process.page_table.value_or(Pa{}),
          thread.process.pid,
          thread.tid,
          thread.process.name,
          guest_time_};
}

// A register that every x86 stub has; what a broken one does not give is 0.
std::uint64_t Tracer::reg(unsigned vcpu, std::string_view name) {
  return vm_.guest().reg(vcpu, name).value_or(0);
}

}  // namespace swat::daemon
