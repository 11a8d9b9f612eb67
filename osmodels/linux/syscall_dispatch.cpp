#include "osmodels/linux/syscall_dispatch.hpp"

#include <algorithm>

#include "osmodels/linux/blob.hpp"
#include "osmodels/linux/syscalls.hpp"
#include "osmodels/x86/dispatch_code.hpp"

namespace swat::os {
namespace {

struct DispatchRow {
  unsigned word_bytes;  // of the kernel
  bool compat;
  SyscallEntry::Kind abi;
  std::string_view table;
  std::string_view comparing;  // function
  // C code that loads from the table; older kernels do it in the entries themselves.
  std::initializer_list<std::string_view> loading;
};

// [arch/x86/entry/common.c, arch/x86/entry/entry_64.S, arch/x86/ia32/ia32entry.S of Linux 3.2 to
// 6.12; arch/x86/entry/entry_32.S, arch/i386/kernel/entry.S of Linux 2.4 to 6.12]
const DispatchRow kRows[] = {
    {8, false, SyscallEntry::Kind::kSyscall, "sys_call_table", "x64_sys_call", {"do_syscall_64"}},
    {8,
     true,
     SyscallEntry::Kind::kInt80,
     "ia32_sys_call_table",
     "ia32_sys_call",
     {"do_syscall_32_irqs_on", "do_int80_syscall_32", "do_fast_syscall_32", "__do_fast_syscall_32",
      "do_int80_emulation", "int80_emulation"}},
    {4,
     false,
     SyscallEntry::Kind::kInt80,
     "sys_call_table",
     "ia32_sys_call",
     {"do_syscall_32_irqs_on", "do_int80_syscall_32", "do_fast_syscall_32",
      "__do_fast_syscall_32"}},
};

// Since 4.17 handlers are given struct pt_regs, and are called so. [commit fa697140f9a2]
constexpr std::string_view kTakesPtRegs = "__x64_sys_read";

bool is_of(const DispatchRow& row, SyscallEntry::Kind kind) {
  const auto* abi = find_abi(kind);
  return abi != nullptr && (abi->word < row.word_bytes) == row.compat;
}

// From a symbol to the next one.
VaRange extent_of(const symbols::SymbolTable& symbols, Va function) {
  constexpr std::uint64_t kMostBytes = 32 << 10;
  const Va most = function + kMostBytes;
  return {function, std::min(symbols.next_start(function).value_or(most), most)};
}

class DispatchFinder {
 public:
  DispatchFinder(VirtualMemory& kernel, const symbols::SymbolTable& symbols, const DispatchRow& row,
                 const KernelLayout& layout)
      : kernel_(kernel), symbols_(symbols), row_(row), layout_(layout) {
    found_.compat = row.compat;
    found_.word_bytes = row.word_bytes;
    found_.saves_callers = symbols.find(kTakesPtRegs).has_value();
    found_.handlers.resize(find_abi(row.abi)->names.size());
  }

  Result<SyscallDispatch> find(const std::vector<SyscallEntry>& entries) {
    find_loads(entries);
    if (!found_.loads.empty()) {
      SWAT_CHECK(read_table());
    } else {
      SWAT_CHECK(read_comparisons());
    }
    const auto known = std::ranges::count_if(found_.handlers, [](Va h) { return !h.is_null(); });
    if (known == 0) return fail(Errc::kNotFound, "no handler of a syscall is known");
    return std::move(found_);
  }

 private:
  void find_loads(const std::vector<SyscallEntry>& entries) {
    found_.table = symbols_.find(row_.table);
    for (const std::string_view name : row_.loading) {
      if (const auto function = symbols_.find(name)) find_loads_in(extent_of(symbols_, *function));
    }
    // C code of 32-bit kernels is reached with the registers saved, and others in their place.
    if (row_.word_bytes == 4) found_.saves_callers = !found_.loads.empty();
    constexpr std::uint64_t kEntryBytes = 0x600;  // of an entry and its branches, until 4.16
    for (const SyscallEntry& entry : entries) {
      if (!is_of(row_, entry.kind)) continue;
      entry_ = entry.address;
      find_loads_in({entry.address, entry.address + kEntryBytes});
    }
  }

  // Without data symbols (no CONFIG_KALLSYMS_ALL) the first table is the one.
  void find_loads_in(const VaRange& code) {
    for (const x86::TableLoad& load : x86::find_table_loads(kernel_, code, row_.word_bytes * 8)) {
      if (!layout_.is_pointer(load.table.value)) continue;
      if (!found_.table) found_.table = load.table;
      const bool is_known = std::ranges::any_of(
          found_.loads, [&](const SyscallDispatch::Load& l) { return l.next == load.next; });
      if (load.table == *found_.table && !is_known) {
        found_.loads.push_back({load.next, load.target, load.late});
        if (load.limit) limit_ = load.limit;
      }
    }
  }

  // What the table has, by the names of the kernel's functions; without them, by what the entry
  // compares numbers with.
  [[nodiscard]] bool is_handler(std::size_t number, Va word) const {
    constexpr std::uint64_t kWidestCode = 64 << 20;
    if (!symbols_.empty()) return symbols_.is_start(word);
    const std::uint64_t distance = word > entry_ ? word - entry_ : entry_ - word;
    return limit_ && number < *limit_ && distance < kWidestCode;
  }

  // Of a kernel older than our list of names the table is shorter than that.
  Result<> read_table() {
    std::vector<std::uint64_t> words(found_.handlers.size());
    const Blob blob =
        read_sparse(kernel_, *found_.table, words.size() * layout_.word_bytes, layout_);
    for (std::size_t i = 0; i < words.size(); ++i) {
      const Va handler{blob.word(i * layout_.word_bytes)};
      if (is_handler(i, handler)) found_.handlers[i] = handler;
    }
    found_.found_by = std::string(row_.table);
    return {};
  }

  Result<> read_comparisons() {
    found_.table.reset();
    const auto function = symbols_.find(row_.comparing);
    if (!function) {
      return fail(Errc::kNotFound, "neither code that reads " + std::string(row_.table) + " nor " +
                                       std::string(row_.comparing));
    }
    const auto tree = SWAT_TRY(
        x86::CompareTree::read(kernel_, extent_of(symbols_, *function), row_.word_bytes * 8));
    for (std::size_t number = 0; number < found_.handlers.size(); ++number) {
      const auto handler = tree.leads_to(static_cast<std::uint32_t>(number));
      if (handler && symbols_.is_start(*handler)) found_.handlers[number] = *handler;
    }
    found_.found_by = std::string(row_.comparing);
    if (row_.word_bytes == 4) found_.saves_callers = true;
    return {};
  }

  VirtualMemory& kernel_;
  const symbols::SymbolTable& symbols_;
  const DispatchRow& row_;
  KernelLayout layout_;
  SyscallDispatch found_;
  Va entry_;                            // one that was looked at
  std::optional<std::uint32_t> limit_;  // of numbers, by the entries' code
};

}  // namespace

Result<SyscallDispatch> find_syscall_dispatch(VirtualMemory& kernel,
                                              const symbols::SymbolTable& symbols,
                                              const std::vector<SyscallEntry>& entries, bool compat,
                                              const KernelLayout& layout) {
  const auto* const row = std::ranges::find_if(kRows, [&](const DispatchRow& r) {
    return r.word_bytes == layout.word_bytes && r.compat == compat;
  });
  if (row == std::end(kRows)) return fail(Errc::kUnsupported, "no such syscalls in this kernel");
  return DispatchFinder(kernel, symbols, *row, layout).find(entries);
}

}  // namespace swat::os
