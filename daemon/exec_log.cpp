#include "daemon/exec_log.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

namespace swat::daemon {
namespace {

constexpr std::size_t kEnough = 8192;               // blocks kept before a stop is made for them
constexpr std::chrono::milliseconds kLongest{200};  // that one is kept
constexpr std::uint64_t kUserTable = 0x1000;        // of split page tables, above the kernel's

// Empty where it is not known. ld.so goes on to the function whose lazy slot it has bound: then it
// is not the caller.
std::string_view caller_module(const ProcessView& view, const Execution& block) {
  const LoadedModule* const from = block.from.is_null() ? nullptr : view.module_at(block.from);
  if (from == nullptr) return {};
  const std::string_view name = from->module.name();
  return name.starts_with("ld-linux") || name.starts_with("ld.so") ? std::string_view{} : name;
}

// What a burst has taken (many times kEnough, while the guest could not be stopped) is given back.
template <class T>
void empty(std::vector<T>& burst) {
  burst.clear();
  if (burst.capacity() > 2 * kEnough) burst.shrink_to_fit();
}

}  // namespace

// --- On and off

Result<std::unique_ptr<ExecLog>> ExecLog::start(const Context& context,
                                                std::vector<Va> syscall_entries) {
  std::unique_ptr<ExecLog> exec_log(new ExecLog(context));
  SWAT_CHECK(exec_log->switch_on(std::move(syscall_entries)));
  return exec_log;
}

Result<> ExecLog::switch_on(std::vector<Va> syscall_entries) {
  StoppedGuest& guest = with_.vm.guest();
  if (guest.architecture() != os::Architecture::kX86_64 || with_.model.word_bytes() != 8) {
    return fail(Errc::kUnsupported, "the execution log is read of x86_64 guests only");
  }
  std::vector<Va> writes;
  if (guest.vcpu_count() > 1) {
    writes = with_.model.ends_of_page_table_writes();
    if (writes.empty()) {
      return fail(Errc::kUnsupported,
                  "the execution log does not tell which of several vCPUs has changed its process, "
                  "nor does this kernel's code");
    }
  }
  const std::string fifo = SWAT_TRY(with_.vm.prepare_log());
  reader_ = SWAT_TRY(ExecLogReader::start(fifo));
  {
    ExecLogReader::Pause pause(*reader_);
    ExecLogFilter& filter = pause.filter();
    filter.set_syscall_entries(std::move(syscall_entries));
    filter.set_context_switches(with_.model.context_switches());
    if (!writes.empty()) filter.set_ends_of_page_table_writes(std::move(writes));
    for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
      filter.set_vcpu(vcpu, guest.reg_or_zero(vcpu, guest.machine().user_root),
                      !guest.in_kernel(vcpu));
    }
    spaces_.sync(filter);
  }
  SWAT_CHECK(with_.vm.start_log(fifo, "exec,mmu"));
  if (!reader_->has_writer()) return fail(Errc::kUnsupported, "QEMU does not open the FIFO");
  return {};
}

Result<> ExecLog::finish() {
  SWAT_CHECK(with_.vm.stop_log());
  const auto stats = reader_->stats();
  spdlog::info("execution log: {} blocks, {} bytes", stats.traces, stats.bytes);
  if (stats.other_lines > 0) {
    spdlog::info("{} lines of QEMU's log were not of the execution log", stats.other_lines);
  }
  if (stats.bad_lines > 0) {
    with_.log.write({},
                    GapEvent{stats.bad_lines, "lines of the execution log that cannot be read"});
  }
  return {};
}

// --- Stops

ExecLog::Stop::Stop(ExecLog* log) : log_(log), is_outermost_(log != nullptr && !log->pause_) {
  if (log_ == nullptr) return;
  if (is_outermost_) log_->pause_.emplace(*log_->reader_);
  log_->guest_stopped();
}

ExecLog::Stop::~Stop() {
  if (!is_outermost_) return;
  log_->spaces_.sync(log_->pause_->filter());
  log_->pause_.reset();
  log_->reader_->let_flow(false);
  log_->write();  // last: meanwhile the guest runs, and the reader reads
}

void ExecLog::take_kept() {
  pause_->drain();
  const auto blocks = pause_->take();
  kept_.reserve(kept_.size() + blocks.size());
  for (const Execution& block : blocks) kept_.push_back({block, nullptr});
}

void ExecLog::guest_stopped() {
  take_kept();
  kept_since_.reset();
  if (spaces_.is_unsettled()) name_early();
}

// A module that is about to be found gone may have been called before it went.
void ExecLog::name_early() {
  Here here;
  for (Kept& kept : kept_) {
    go_to(here, kept.block.root);
    if (here.space == nullptr || here.space->settled || kept.name != nullptr) continue;
    kept.name = here.space->functions->find(*here.space->view, *here.memory, kept.block.pc, {});
  }
}

bool ExecLog::wants_stop() {
  const std::size_t kept = reader_->kept() + kept_.size();
  if (kept == 0) return false;
  const auto now = Clock::now();
  if (!kept_since_) kept_since_ = now;
  return kept >= kEnough || now - *kept_since_ > kLongest;
}

// --- What was called

Result<> ExecLog::resolve(const Actor& actor) {
  if (!pause_) return fail(Errc::kUsage, "the execution log is not paused");
  confirm_page_tables();
  find_split(actor);
  if (!kept_.empty()) SWAT_CHECK(meet_others(actor));
  ExecLogFilter& filter = pause_->filter();
  spaces_.sync(filter);
  const Pa root = actor.thread.process.page_table.value_or(Pa{});
  filter.trust(root);
  if (!actor.selected && !root.is_null()) filter.ignore_space(root);
  if (LoggedSpace* const own = spaces_.at(root)) own->tids.insert(actor.thread.tid);
  if (kept_.empty()) return {};
  read_slots();
  Here here;
  for (const Kept& kept : kept_) name(kept, here, actor);
  empty(kept_);
  filter.forget_told();
  last_scene_.reset();
  return {};
}

// Of several vCPUs the log does not always tell which has changed its page table; registers do. A
// step while this stop was handled has logged something too.
void ExecLog::confirm_page_tables() {
  StoppedGuest& guest = with_.vm.guest();
  if (guest.vcpu_count() < 2) return;
  take_kept();
  ExecLogFilter& filter = pause_->filter();
  for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
    const std::uint64_t cr3 = guest.reg_or_zero(vcpu, guest.machine().user_root);
    if (cr3 == 0 || filter.confirm(vcpu, cr3)) continue;
    tell_gap("calls may have been taken for another process's");
  }
  for (Kept& kept : kept_) kept.block.root = filter.told(kept.block.root);
}

// The thread's last block was in its own address space: then its page table, as the kernel knows
// it, is the one that was logged, or is the lower half of it.
void ExecLog::find_split(const Actor& actor) {
  ExecLogFilter& filter = pause_->filter();
  const auto position = filter.position(actor.scene.vcpu);
  const auto root = actor.thread.process.page_table;
  if (!position || !root || position->root == *root) return;
  if (ExecLogFilter::is_to_be_told(position->root)) return;
  if (!filter.has_split_page_tables() && position->root == *root + kUserTable) {
    filter.set_split_page_tables();
    for (Kept& kept : kept_) {
      if (!ExecLogFilter::is_to_be_told(kept.block.root)) kept.block.root.value &= ~kUserTable;
    }
    return;
  }
  spdlog::debug("vCPU {} runs {} in {:x}; the execution log says {:x}", actor.scene.vcpu,
                actor.thread.tid, root->value, position->root.value);
}

// Those that have run since the last stop, and that this stop does not tell of: new processes, and
// such as were interrupted. Whose a page table is, only the list of processes tells now.
Result<> ExecLog::meet_others(const Actor& actor) {
  const Pa own = actor.thread.process.page_table.value_or(Pa{});
  std::set<Pa> others;
  for (const Kept& kept : kept_) {
    if (kept.block.root != own) others.insert(kept.block.root);
  }
  if (others.empty()) return {};
  for (const os::Process& process : SWAT_TRY(with_.model.processes())) {
    if (!process.page_table || others.erase(*process.page_table) == 0) continue;
    const bool selected = SWAT_TRY(with_.life.meet(process));
    if (!selected) pause_->filter().ignore_space(*process.page_table);
    pause_->filter().trust(*process.page_table);
  }
  for (const Pa root : others) {
    if (spaces_.at(root) != nullptr) continue;
    tell_gap(ExecLogFilter::is_to_be_told(root)
                 ? "calls of one of two processes: the execution log does not tell of which"
                 : "calls of a process that was gone before it was met");
  }
  return {};
}

void ExecLog::read_slots() {
  std::set<Pa> roots;
  for (const Kept& kept : kept_) roots.insert(kept.block.root);
  for (const Pa root : roots) {
    if (LoggedSpace* const space = spaces_.at(root)) spaces_.read_slots(*space, pause_->filter());
  }
}

void ExecLog::go_to(Here& here, Pa root) {
  if (here.root == root && here.memory != nullptr) return;
  LoggedSpace* const space = spaces_.at(root);
  here = {space, root, space == nullptr ? nullptr : spaces_.memory(*space)};
}

void ExecLog::name(const Kept& kept, Here& here, const Actor& actor) {
  const Execution& block = kept.block;
  go_to(here, block.root);
  if (here.space == nullptr) return;
  const ProcessView& view = *here.space->view;
  auto function = here.space->functions->find(view, *here.memory, block.pc, block.from);
  if (function == nullptr) function = kept.name;
  if (function == nullptr || with_.traps.at_breakpoint(block.pc) != nullptr) return;
  const SceneKey key{block.root, block.stretch, block.vcpu};
  if (last_scene_ != key) {
    scenes_.push_back(scene_of(*here.space, key, actor));
    last_scene_ = key;
  }
  calls_.push_back(
      {scenes_.size() - 1, block.pc, std::move(function), std::string(caller_module(view, block))});
}

EventLog::Scene ExecLog::scene_of(const LoggedSpace& space, const SceneKey& key,
                                  const Actor& actor) {
  const os::Process& process = space.view->process;
  EventLog::Scene scene{
      key.vcpu, key.root, process.pid, 0, process.name, actor.scene.guest_time_ns, process.key};
  const auto position = pause_->filter().position(actor.scene.vcpu);
  const bool is_actors = position && key.vcpu == actor.scene.vcpu &&
                         position->stretch == key.stretch &&
                         actor.thread.process.page_table == key.root;
  if (is_actors) {
    scene.pid = actor.scene.pid;
    scene.tid = actor.scene.tid;
    scene.process = actor.scene.process;
  } else if (space.tids.empty() || (space.tids.size() == 1 && space.tids.contains(process.pid))) {
    scene.tid = process.pid;  // it has no other thread that was ever seen
  }
  return scene;
}

void ExecLog::write() {
  for (Call& call : calls_) {
    with_.log.write(scenes_[call.scene], CallEvent{call.address,
                                                   call.function->name,
                                                   call.function->module,
                                                   {},
                                                   std::move(call.caller_module)});
  }
  empty(calls_);
  empty(scenes_);
}

void ExecLog::tell_gap(std::string reason) { with_.log.write({}, GapEvent{0, std::move(reason)}); }

}  // namespace swat::daemon
