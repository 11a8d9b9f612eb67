// Which lines of the execution log may be calls of named functions: of hundreds of thousands a
// second, those of user mode, at an address where a function of that address space begins, entered
// from elsewhere.
//
// A block is looked up, and has its line, without any call: when a vCPU comes back from an
// interrupt that stopped it just there, when its first instruction faulted and is executed anew.
// So a line that follows the kernel is a call only if the block had no line before it was left:
// `Trace X`, kernel, `Trace X` is one call, and `Trace caller`, kernel (the page of X was absent),
// `Trace X` is one too. Checked against counted programs in tests/e2e/test_exec_log.py.
//
// With several vCPUs, lines that name none are a claim of whichever goes on as they say
// (page_table_updates.hpp). While it is not clear what a vCPU's page table is, all that it executes
// is kept, under a root that stands for "to be told".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/entry_points.hpp"
#include "daemon/exec_log_parser.hpp"
#include "daemon/page_table_updates.hpp"
#include "symbols/address.hpp"

namespace swat::daemon {

// An image in an address space.
struct LoggedModule {
  VaRange range;
  Va base;
  std::shared_ptr<const EntryPoints> entries;  // null: not known yet, every block is kept
  std::shared_ptr<const EntryPoints> targets;  // where IFUNCs lead in this process; may be null
  bool complete = true;                        // false: some lead nobody knows where yet
};

// A block that may be a function's first.
struct Execution {
  Va pc;
  Va from;                // the block before it in user mode; null: it came from the kernel
  Pa root;                // page table of the address space
  std::uint32_t stretch;  // counts, for each vCPU, what is of one thread for sure
  std::uint8_t vcpu;
};

class ExecLogFilter final : public ExecLogListener {
 public:
  // More address spaces than this at a time, and the oldest that nobody knows is given up.
  static constexpr std::size_t kMaxSpaces = 1 << 14;

  // What tells a system call from an interruption: the kernel's first instruction after it.
  void set_syscall_entries(std::vector<Va> entries) { syscall_entries_ = std::move(entries); }
  // Code that every change of threads runs through. Without any, each way from the kernel into user
  // mode may be another thread's.
  void set_context_switches(std::vector<Va> code) { context_switches_ = std::move(code); }
  // Where a vCPU is when logging begins, or when it has become known again.
  void set_vcpu(unsigned vcpu, std::uint64_t cr3, bool in_user);
  // Where writes of CR3 end in the kernel's code. Without any, there is one vCPU.
  void set_ends_of_page_table_writes(std::vector<Va> code) {
    updates_.set_ends_of_writes(std::move(code));
    is_smp_ = true;
  }
  // The vCPU is stopped, all lines have been read, and this is in its register. False: the log had
  // let this believe something else, of which position() tells no longer.
  bool confirm(unsigned vcpu, std::uint64_t cr3);
  // What has become of a root that was to be told; any other one is itself.
  [[nodiscard]] Pa told(Pa root) const;
  [[nodiscard]] static bool is_to_be_told(Pa root) { return (root.value & kToBeTold) != 0; }
  // Nobody will ask told() of the roots that take() has handed out so far.
  void forget_told() { told_.clear(); }

  // What is mapped where. `settled`: blocks outside of all modules are of no interest; else
  // something is being mapped, and they are kept.
  void set_space(Pa root, std::vector<LoggedModule> modules, bool settled);
  // Nothing in it is of interest.
  void ignore_space(Pa root) { set_space(root, {}, true); }
  // The address space is gone: what is heard of this page table next is somebody else's.
  void forget_space(Pa root);
  // A process is being made: page tables that belonged to processes which were killed may be used
  // again. Everything is kept until set_space() or trust().
  void distrust_all_but(Pa root);
  void trust(Pa root);

  // Page-table isolation: the kernel gives a process two page tables, the user's one page above its
  // own. [arch/x86/mm/pti.c; since Linux 4.15]
  void set_split_page_tables();
  [[nodiscard]] bool has_split_page_tables() const { return split_; }
  // Page table and stretch of the vCPU's last user-mode block; none yet: nullopt.
  struct Position {
    Pa root;
    std::uint32_t stretch;
  };
  [[nodiscard]] std::optional<Position> position(unsigned vcpu) const;

  [[nodiscard]] std::size_t kept() const { return kept_.size(); }
  // In the order of the log. Leaves none.
  [[nodiscard]] std::vector<Execution> take() { return std::exchange(kept_, {}); }
  [[nodiscard]] std::uint64_t other_lines() const { return other_lines_; }

  void on_trace(const TraceLine& line) override;
  void on_stopped_before(Va pc) override;
  void on_page_table(std::uint64_t cr3) override;
  void on_other(std::string_view line) override;

 private:
  struct Space {
    Pa root;
    std::vector<LoggedModule> modules;  // ascending
    std::size_t recent = 0;             // index of the module last found
    bool known = false;                 // false: everything is kept
    bool trusted = true;
    bool settled = false;
    std::vector<Va> expected;  // blocks that had their line, and will have another without a call
  };
  struct Vcpu {
    Space* space = nullptr;
    std::optional<PageTableUpdates::ClaimId> claim;  // which page table `space` has is to be told
    std::uint64_t line = 0;                          // number of its last line
    Va at;                                           // block of its last line
    Space* last_space = nullptr;                     // of `last`
    Va last;                                         // block of user mode
    std::uint32_t stretch = 0;
    bool last_kept = false;
    bool in_user = false;
    bool is_fresh = false;     // has left user mode, and claimed no page table since
    bool interrupted = false;  // a "Stopped" line told where it will go on
  };

  // A "Stopped" line, which some vCPU has not gone on from yet.
  struct Interruption {
    Va pc;
    std::uint64_t line;
  };

  static constexpr std::uint64_t kToBeTold = std::uint64_t{1} << 63;

  [[nodiscard]] Pa root_of(std::uint64_t cr3) const;
  [[nodiscard]] Space* space_at(Pa root);
  [[nodiscard]] static bool is_wanted(Space& space, const Vcpu& vcpu, Va pc);
  [[nodiscard]] static const LoggedModule* module_at(Space& space, Va pc);
  static void expect(Space& space, Va pc);
  [[nodiscard]] static bool was_expected(Space& space, Va pc);
  void in_kernel(Vcpu& vcpu, Va pc);
  void in_user(Vcpu& vcpu, const TraceLine& line);
  void claim_page_table(Vcpu& vcpu, Va pc);
  void expect_in(Space& space, Va pc);
  void take_what_is_told();
  void tell(PageTableUpdates::ClaimId claim, Pa root);
  void tell_by(Vcpu& vcpu, Va pc);
  [[nodiscard]] bool was_expected(const Vcpu& vcpu, Va pc);
  void claim_interruption(Vcpu& vcpu, const TraceLine& line);
  [[nodiscard]] bool may_have_been_at(const Vcpu& vcpu, const Interruption& interruption) const;
  void leave_user(Vcpu& vcpu, Va kernel_pc);
  [[nodiscard]] Vcpu& vcpu_at(unsigned index);

  std::vector<Vcpu> vcpus_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Space>> spaces_;  // by root
  std::vector<Va> syscall_entries_;
  std::vector<Va> context_switches_;
  std::vector<Execution> kept_;
  std::uint64_t other_lines_ = 0;
  PageTableUpdates updates_;
  std::unordered_map<std::uint64_t, Pa> told_;  // by root that was to be told
  std::vector<Interruption> interruptions_;
  std::vector<Va> ways_to_user_;  // of split page tables: ends of writes of the user's half
  std::uint64_t line_ = 0;        // number of the last one
  bool is_smp_ = false;
  bool split_ = false;
};

}  // namespace swat::daemon
