// Calls of named functions by QEMU's execution log: no stop for any of them, at the price of a line
// that QEMU writes for every block the guest jumps to.
//
// At a stop every line of what was executed until then is in the pipe. So blocks that may be calls
// are kept (exec_log_filter.hpp), and at the next stop, whatever its reason, they get their names
// and go to the log, before that stop's own event. Where no stop comes, the tracer makes one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/event_log.hpp"
#include "daemon/exec_log_reader.hpp"
#include "daemon/logged_spaces.hpp"
#include "daemon/process_life.hpp"
#include "daemon/trap_set.hpp"
#include "daemon/vm.hpp"

namespace swat::daemon {

class ExecLog {
 public:
  // What it works with; all of it outlives this.
  struct Context {
    Vm& vm;
    os::OsModel& model;
    ProcessTable& processes;
    ProcessLife& life;
    TrapSet& traps;  // calls that a breakpoint reports are left to it
    EventLog& log;
    const CallFilter& wanted;
  };

  // Has QEMU log from now on. The guest is stopped. kUnsupported says in one line what this setup
  // lacks. `syscall_entries`: the kernel's first instruction of each.
  [[nodiscard]] static Result<std::unique_ptr<ExecLog>> start(const Context& context,
                                                              std::vector<Va> syscall_entries);

  // Lives while the guest is stopped, and until whoever handles the stop is done with it: what was
  // logged before has been read, what is logged meanwhile waits. Null: there is no execution log.
  class Stop {
   public:
    explicit Stop(ExecLog* log);
    ~Stop();
    Stop(const Stop&) = delete;
    Stop& operator=(const Stop&) = delete;

   private:
    ExecLog* log_;
    bool is_outermost_;
  };

  // Names what was executed until this stop. The guest stands still, and `actor` has been met.
  [[nodiscard]] Result<> resolve(const Actor& actor);
  // Logs what resolve() has named, before another event of the same stop; else the end of the stop
  // does. The guest may run again.
  void write();

  // Enough blocks are kept, or have been for long enough: the guest should be stopped.
  [[nodiscard]] bool wants_stop();
  // QEMU is going to be waited for.
  void let_flow() { reader_->let_flow(true); }

  // QEMU logs as it did before. The guest is stopped, and all has been resolved.
  [[nodiscard]] Result<> finish();

 private:
  using Clock = std::chrono::steady_clock;

  // A kept block; `name` where it was found before modules came and went.
  struct Kept {
    Execution block;
    ProcessFunctions::FunctionPtr name;
  };
  struct Call {
    std::size_t scene;  // index
    Va address;
    ProcessFunctions::FunctionPtr function;
    std::string caller_module;
  };
  // Of whom a run of calls is.
  struct SceneKey {
    Pa root;
    std::uint32_t stretch;
    std::uint8_t vcpu;
    friend bool operator==(const SceneKey&, const SceneKey&) = default;
  };

  explicit ExecLog(const Context& with)
      : with_(with), spaces_(with.model, with.processes, with.wanted) {}

  [[nodiscard]] Result<> switch_on(std::vector<Va> syscall_entries);
  void guest_stopped();
  void take_kept();
  void confirm_page_tables();
  void name_early();
  void find_split(const Actor& actor);
  [[nodiscard]] Result<> meet_others(const Actor& actor);
  void read_slots();
  // An address space, and its memory, of the block being named.
  struct Here {
    LoggedSpace* space = nullptr;
    Pa root;
    std::unique_ptr<VirtualMemory> memory;
  };
  void go_to(Here& here, Pa root);
  void name(const Kept& kept, Here& here, const Actor& actor);
  [[nodiscard]] EventLog::Scene scene_of(const LoggedSpace& space, const SceneKey& key,
                                         const Actor& actor);
  void tell_gap(std::string reason);

  Context with_;
  LoggedSpaces spaces_;
  std::unique_ptr<ExecLogReader> reader_;
  std::optional<ExecLogReader::Pause> pause_;  // while a Stop lives
  std::vector<Kept> kept_;
  std::vector<EventLog::Scene> scenes_;
  std::optional<SceneKey> last_scene_;  // of scenes_.back()
  std::vector<Call> calls_;
  std::optional<Clock::time_point> kept_since_;
};

}  // namespace swat::daemon
