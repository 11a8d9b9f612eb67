// Any bytes as a kernel's code on the way from an entry to a handler and back, of each
// architecture: the entry first, then the functions of kSymbols.
#include <cstdint>

#include "input.hpp"
#include "osmodels/aarch64/entry_task.hpp"
#include "osmodels/linux/dispatch_aarch64.hpp"
#include "osmodels/linux/dispatch_arm.hpp"
#include "osmodels/linux/kernel_layout.hpp"
#include "osmodels/linux/syscall_dispatch.hpp"
#include "osmodels/windows/accessors.hpp"
#include "osmodels/x86/block_exit.hpp"
#include "osmodels/x86/entry_path.hpp"
#include "osmodels/x86/exit_path.hpp"
#include "osmodels/x86/page_table_writes.hpp"
#include "osmodels/x86/syscall_frame.hpp"

namespace swat::fuzz {
namespace {

constexpr Va kCode{0xffffffff81000000};
constexpr std::uint64_t kFunctionBytes = 0x100;

// What tells where handlers are taken from. [osmodels/linux/syscall_dispatch.cpp,
// dispatch_aarch64.cpp]
const symbols::SymbolTable& functions() {
  static const symbols::SymbolTable table = [] {
    std::vector<symbols::Symbol> all;
    for (const char* name : {"entry", "do_syscall_64", "x64_sys_call", "do_int80_syscall_32",
                             "ia32_sys_call", "do_el0_svc", "invoke_syscall", "end"}) {
      all.push_back({kCode + all.size() * kFunctionBytes, 'T', name});
    }
    return symbols::SymbolTable(std::move(all));
  }();
  return table;
}

void fuzz_x86(SpanMemory& code, VaRange whole) {
  if (const auto exits = os::x86::find_exit_points(code, kCode)) require(!exits->empty());
  static_cast<void>(os::x86::find_syscall_frame(code, kCode));
  static_cast<void>(os::x86::find_entry_store(code, kCode));
  static_cast<void>(os::x86::find_entry_read(code, kCode));
  for (const Va end : os::x86::ends_of_page_table_writes(code, whole)) {
    require(end > whole.start && end <= whole.end);
  }
  for (const unsigned bits : {32U, 64U}) {
    static_cast<void>(os::x86::jumps_to(code, kCode + kFunctionBytes, kCode, bits));
  }
  for (const unsigned word_bytes : {4U, 8U}) {
    if (const auto path = os::windows::follow_accessor(code, kCode, word_bytes)) {
      require(path->added < 0x10000 && path->loads.size() < 32);
    }
    os::KernelLayout layout = os::kX86_64Layout;
    layout.word_bytes = word_bytes;
    for (const bool compat : {false, true}) {
      const std::vector<os::SyscallEntry> entries = {{os::SyscallEntry::Kind::kSyscall, kCode, ""},
                                                     {os::SyscallEntry::Kind::kInt80, kCode, ""}};
      static_cast<void>(os::find_syscall_dispatch(code, functions(), entries, compat, layout));
    }
  }
}

void fuzz_arm(SpanMemory& code, std::span<const std::byte> bytes) {
  constexpr Va kArmCode{0xc0008000};
  constexpr os::KernelLayout kArmLayout{4, 0xc0000000, 16384, 0};
  SpanMemory arm_code(kArmCode, bytes);
  for (const bool other : {false, true}) {
    static_cast<void>(os::find_arm_dispatch(arm_code, kArmCode, other, kArmLayout));
    const os::Aarch64Kernel kernel{code, functions(), os::kX86_64Layout, kCode};
    static_cast<void>(os::find_aarch64_dispatch(kernel, other));
  }
  static_cast<void>(os::aarch64::entry_task_slots({kCode, bytes, 8}));
}

}  // namespace
}  // namespace swat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swat::fuzz;
  const auto bytes = std::as_bytes(std::span(data, size));
  SpanMemory code(kCode, bytes);
  fuzz_x86(code, {kCode, kCode + size});
  fuzz_arm(code, bytes);
  return 0;
}
