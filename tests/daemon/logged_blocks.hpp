// A log that a test writes line by line, of a guest with one program and one library.
#pragma once

#include <memory>
#include <vector>

#include "daemon/exec_log_filter.hpp"

namespace swat::daemon {

inline constexpr Pa kRoot{0x2a12000};
inline constexpr Pa kOther{0x2904000};
inline constexpr Va kProgram{0x5000000};
inline constexpr Va kLibrary{0x7f0000000};
inline constexpr Va kFunction = kLibrary + 0x1000;
inline constexpr Va kSecond = kLibrary + 0x2340;
inline constexpr Va kCaller = kProgram + 0x123;
inline constexpr Va kFault{0xffffffff81000be0};
inline constexpr Va kSyscall{0xffffffff81000080};
inline constexpr Va kSwitch{0xffffffff81002000};

using Pcs = std::vector<Va>;

inline std::shared_ptr<const EntryPoints> entries(std::vector<std::uint64_t> offsets) {
  return std::make_shared<const EntryPoints>(std::move(offsets));
}

// A process with a program, which exports nothing, and a library of two functions.
class Log {
 public:
  ExecLogFilter filter;

  Log() {
    filter.set_syscall_entries({kSyscall});
    filter.set_vcpu(0, kRoot.value, true);
    filter.set_space(kRoot, modules(), true);
  }

  static std::vector<LoggedModule> modules() {
    return {{{kProgram, kProgram + 0x1000}, kProgram, entries({}), nullptr, true},
            {{kLibrary, kLibrary + 0x4000}, kLibrary, entries({0x1000, 0x2340}), nullptr, true}};
  }

  Log& user(Va pc, unsigned vcpu = 0) { return trace(pc, 0x0040c2b3, vcpu); }
  Log& kernel(Va pc = kFault, unsigned vcpu = 0) { return trace(pc, 0x0040c2b0, vcpu); }
  Log& stopped(Va pc) {
    filter.on_stopped_before(pc);
    return *this;
  }
  Log& page_table(std::uint64_t cr3) {
    filter.on_page_table(cr3);
    return *this;
  }

  Pcs kept() {
    Pcs pcs;
    for (const Execution& block : filter.take()) pcs.push_back(block.pc);
    return pcs;
  }

 private:
  Log& trace(Va pc, std::uint32_t flags, unsigned vcpu) {
    filter.on_trace({vcpu, pc, flags});
    return *this;
  }
};

}  // namespace swat::daemon
