// What an operating system model answers, whatever the system.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "osmodels/guest.hpp"
#include "osmodels/profile_store.hpp"

namespace swat::symbols {
struct MemberProfile;  // symbols/member_profile.hpp
}  // namespace swat::symbols

namespace swat::os {

// Which process it is, as long as it lives; 0: none. Not always its number, which some models
// cannot tell, nor an object of the kernel's, which execve may change.
enum class ProcessKey : std::uint64_t {};

struct Process {
  Va object;  // task_struct of the leader, EPROCESS
  ProcessKey key{};
  ProcessKey parent{};
  std::uint32_t pid = 0;
  std::uint32_t parent_pid = 0;
  std::string name;              // comm, ImageFileName: what the kernel keeps, possibly cut short
  std::optional<Pa> page_table;  // root of the user address space; none for kernel threads
  Va memory_object;  // mm_struct; changes when the process image does. Null for kernel threads
  bool is_32_bit = false;
};

// Who runs on a vCPU right now.
struct Thread {
  Va object;  // task_struct, ETHREAD
  std::uint32_t tid = 0;
  Process process;  // name is the thread's where the system keeps one for each
};

// One range of a process's address space.
struct Mapping {
  VaRange range;
  std::uint64_t file_offset = 0;  // bytes; 0 when not of a file
  std::string path;               // of the file; "[vdso]"; empty when anonymous
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::uint64_t file_id = 0;  // identity of the file while the guest lives (its inode); 0: none
};

// An image mapped in a process: the mappings of one file around one load address.
struct Module {
  VaRange range;  // first to last mapping
  Va base;        // where file offset 0 is mapped
  std::string path;
  std::uint64_t file_id = 0;
  [[nodiscard]] std::string_view name() const {  // the path's last component
    const char separator = path.find('/') == path.npos ? '\\' : '/';
    return std::string_view(path).substr(path.find_last_of(separator) + 1);
  }
  // By its name: glibc's ld-linux-x86_64.so.2 and ld64.so.1, old ld.so.1 and ld-2.31.so; musl's and
  // uClibc's ld-*, of which musl's is the C library, too.
  [[nodiscard]] bool is_dynamic_linker() const {
    return name().starts_with("ld-") || name().starts_with("ld.so") ||
           name().starts_with("ld64.so");
  }
};

// Mappings of the same file that follow each other and hold offset 0 become one module; those of
// data files, which have no executable part, are left out.
[[nodiscard]] std::vector<Module> modules_of(const std::vector<Mapping>& mappings);

// One of the ways into the kernel that this guest has set up.
struct SyscallEntry {
  enum class Kind {
    kSyscall,
    kCompatSyscall,
    kSysenter,
    kInt80,
    kNtSyscall,  // of Windows, as the two behind it
    kNtSysenter,
    kInt2e,
    kSvc,
    kCompatSvc,    // of 32-bit callers on AArch64
    kAssemblySvc,  // of 64-bit callers on AArch64 until 4.18
    kArmSvc,       // of a 32-bit kernel
    kArmOabiSvc    // of one that also knows the ABI before EABI
  } kind;
  Va address;            // first instruction
  std::string found_by;  // "device state", "kernel symbol entry_SYSCALL_64", ...
};

struct SyscallAbi;  // osmodels/syscall_abi.hpp

// How the kernel goes on from an entry to what handles the call.
struct SyscallDispatch {
  // An instruction that takes a handler out of the table.
  struct Load {
    Va next;               // behind it, where a vCPU stands then
    std::string_view reg;  // holds the handler then; "": the vCPU stands at the handler instead
    Va late = {};  // where it holds the handler still, and QEMU may stop late; null: nowhere
    // Where vCPUs stop before the access: the instruction, and the registers that it takes the
    // number and the table from; and what points to the caller's saved registers, "" when the
    // caller's registers are where they were.
    Va at = {};
    std::string_view number = {};
    std::string_view table = {};
    std::string_view callers = {};
    unsigned condition = 14;  // ARM: it is executed under (14: always)
  };

  std::string found_by;
  bool compat = false;           // of 32-bit callers; ARM: of callers by the old ABI
  std::optional<Va> table;       // handlers' addresses by number; none: the kernel's code compares
  std::vector<Load> loads;       // from the table
  std::vector<Va> handlers;      // by number; null: that number has none
  std::uint64_t word_bytes = 8;  // of the table
  std::uint64_t first_number = 0;  // of the table's first handler, and of `handlers`
  bool saves_callers = false;      // at the handler, the caller's registers are in memory alone

  [[nodiscard]] bool is_handler(std::uint64_t number, Va at) const {
    return !at.is_null() && handler(number) == at;
  }
  // Null: there is none.
  [[nodiscard]] Va handler(std::uint64_t number) const {
    const std::uint64_t index = number - first_number;
    return number < first_number || index >= handlers.size() ? Va{} : handlers[index];
  }
  // What of the table is read for a number. There is a table.
  [[nodiscard]] VaRange slot(std::uint64_t number) const {
    const Va at = *table + (number - first_number) * word_bytes;
    return {at, at + word_bytes};
  }
};

// A syscall on its way to its handler.
struct DispatchedSyscall {
  SyscallEntry::Kind entry;
  std::uint64_t number = 0;
  std::array<std::optional<std::uint64_t>, 6> arguments{};
};

// What a syscall returns, as the kernel keeps it until the way back to user mode.
struct ResultWord {
  // The way back reads it, and hardly anything else does: the result itself, or a word beside it.
  // In the thread's kernel stack: its own while it lives, then some other thread's.
  Va at;
  // Of the registers that are saved around it, the lowest address. The stack pointer is between
  // this and the word only while they are saved or restored.
  Va frame;
  Va value = {};                   // the result, where it is not the word at `at`
  Va user_pc = {};                 // where the thread will go on in user mode
  unsigned bytes = 8;              // of each of these words
  unsigned watched_bytes = bytes;  // from `at` on: more where some ways back read another word
  friend bool operator==(const ResultWord&, const ResultWord&) = default;
};

class SyscallDecoder;  // osmodels/syscall_decoder.hpp

class OsModel {
 public:
  virtual ~OsModel() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;         // "linux"
  [[nodiscard]] virtual std::string version() const = 0;           // "6.1.0-56-amd64"
  [[nodiscard]] virtual unsigned word_bytes() const { return 8; }  // of the kernel
  // How the model knows what it knows, a line each, for `doctor`.
  [[nodiscard]] virtual std::vector<std::string> provenance() const = 0;

  [[nodiscard]] virtual Result<std::vector<Process>> processes() = 0;
  [[nodiscard]] virtual Result<std::vector<Mapping>> mappings(const Process& process) = 0;
  // The user address space of a process; reads through it see only what is paged in.
  [[nodiscard]] virtual std::unique_ptr<VirtualMemory> memory(const Process& process) = 0;
  // The same, and where nothing is paged in, what the kernel has in memory of the file that is
  // mapped there. Knows the mappings as they are now; takes as long as reading them.
  [[nodiscard]] virtual std::unique_ptr<VirtualMemory> memory_and_files(const Process& process) {
    return memory(process);
  }
  // The kernel's own address space, whatever vCPUs are doing.
  [[nodiscard]] virtual VirtualMemory& kernel_memory() = 0;

  // Who runs on `vcpu`, which is at a syscall entry, in user mode, or in the kernel. Hot path: one
  // or two batched RAM reads, no register but those the guest cannot change under us.
  [[nodiscard]] virtual Result<Thread> current(unsigned vcpu) = 0;
  // current() in two halves, for a stub so far away that a round trip costs more than all that is
  // read: what to read of `vcpu`, on the guess that it runs one of the threads that it ran lately.
  // Empty: no guess, or this model has none. Valid until the next call of anything here.
  [[nodiscard]] virtual std::span<const PhysicalMemory::Piece> guess_current(unsigned) {
    return {};
  }
  // What the pieces of guess_current() say, once they have been read; reads nothing, so the guest
  // may be running. kNotFound, with the object of the thread: none of those, or one that has
  // changed.
  [[nodiscard]] virtual Result<Thread> judge_current() {
    return fail(Errc::kUnsupported, "no guess at the thread");
  }
  // The thread of this object, if it is still one of the address space that `root_register` (CR3)
  // of the vCPU that ran it led to. kNotFound: it is not.
  [[nodiscard]] virtual Result<Thread> thread(Va, std::uint64_t) {
    return fail(Errc::kUnsupported, "no guess at the thread");
  }
  [[nodiscard]] virtual Result<std::vector<SyscallEntry>> syscall_entries() = 0;
  // "" if unknown. What it refers to outlives the events of this guest; reads nothing.
  [[nodiscard]] virtual std::string_view syscall_name(const SyscallAbi& abi, std::uint64_t number);
  // What arguments and results of system calls mean; null: this model does not tell.
  [[nodiscard]] virtual SyscallDecoder* syscalls() { return nullptr; }
  // Of 64-bit callers, or of 32-bit ones. kUnsupported: this model, or this kernel, does not tell.
  [[nodiscard]] virtual Result<std::shared_ptr<const SyscallDispatch>> syscall_dispatch(
      [[maybe_unused]] bool compat) {
    return fail(Errc::kUnsupported, "no dispatch of syscalls is known");
  }
  // What `vcpu` is about to call, which stands behind a load of `dispatch` or at one of its
  // handlers. kNotFound: it does not; something else has read the table.
  [[nodiscard]] virtual Result<DispatchedSyscall> dispatched(
      [[maybe_unused]] unsigned vcpu, [[maybe_unused]] const SyscallDispatch& dispatch) {
    return fail(Errc::kUnsupported, "no dispatch of syscalls is known");
  }
  // Base of the per-CPU area that gs reaches in the kernel on `vcpu` (x86_64).
  [[nodiscard]] virtual Result<Va> per_cpu_base(unsigned vcpu) = 0;
  // The guest's own wall clock, nanoseconds since 1970, as of its last tick before the last call of
  // current(), which reads it along. kUnsupported: this model, or this guest, does not tell.
  [[nodiscard]] virtual Result<std::uint64_t> wall_clock_ns() {
    return fail(Errc::kUnsupported, "the guest's clock is not known");
  }
  // Code of the kernel that every change of threads on a vCPU runs through; empty when not known.
  [[nodiscard]] virtual std::vector<Va> context_switches() { return {}; }
  // Whether threads of a process are told apart, and processes have their numbers: else `object` of
  // a thread is its process's, and numbers are 0.
  [[nodiscard]] virtual bool tells_threads() const { return true; }
  // What is mapped shows only where it has been touched: there may be more at any later event.
  [[nodiscard]] virtual bool sees_touched_pages_only() const { return false; }
  // Whether entered() is to be called, for which the guest has to stand still.
  [[nodiscard]] virtual bool follows_calls() const { return false; }
  // A thread of the process makes a system call on the vCPU.
  virtual void entered(unsigned /*vcpu*/, const Process& /*process*/, std::string_view /*name*/,
                       std::span<const std::optional<std::uint64_t>> /*arguments*/) {}
  // From now on current() reads along where the running thread keeps its result. kNotFound or
  // kUnsupported: this guest does not tell.
  [[nodiscard]] virtual Result<> track_results() {
    return fail(Errc::kUnsupported, "where results are kept is not known");
  }
  // Of the thread that the last current() of this vCPU has found.
  [[nodiscard]] virtual Result<ResultWord> result_word(unsigned /*vcpu*/) {
    return fail(Errc::kUnsupported, "where results are kept is not known");
  }
  // `vcpu` has been stopped by its read of a result word on the way back: whether the result is in
  // its register by then, and need not be read where it is kept. Where vCPUs stop behind the access
  // this reads no memory: the guest may be running.
  [[nodiscard]] virtual Result<bool> has_result_in_register(unsigned /*vcpu*/) { return false; }
  // Where the kernel's instructions that load the page-table register end; empty when not known.
  // Reads all of the kernel's code.
  [[nodiscard]] virtual std::vector<Va> ends_of_page_table_writes() { return {}; }
  // The guest has run: drop what may have changed.
  virtual void forget() = 0;
};

struct AttachWishes {
  ProfileStore* store = nullptr;  // keeps what takes long to find; null: nothing is kept
  // Why a model is wanted that does without the kernel's structures; "": none is.
  std::string without_structures = {};
  bool ram_is_near = false;  // reading all of it takes no time to speak of
  // What the user knows of the kernel's structures; null: nothing. Outlives the call.
  const symbols::MemberProfile* members = nullptr;
};

// kNotFound means "not this guest"; any other error means "cannot tell, because".
struct OsProbe {
  std::string_view name;
  Result<std::unique_ptr<OsModel>> (*attach)(GuestView&, const AttachWishes&);
};

// Every model there is, in the order of detection.
[[nodiscard]] const std::vector<OsProbe>& os_probes();

}  // namespace swat::os
