#include "osmodels/linux/syscall_dispatch.hpp"

#include <algorithm>
#include <unordered_set>

#include "osmodels/linux/blob.hpp"
#include "osmodels/linux/syscalls.hpp"
#include "osmodels/x86/dispatch_code.hpp"

namespace swat::os {
namespace {

struct DispatchRow {
  bool compat;
  std::string_view table;
  std::string_view comparing;  // function
  // C code that loads from the table; older kernels do it in the entries themselves.
  std::initializer_list<std::string_view> loading;
};

// [arch/x86/entry/common.c, arch/x86/entry/entry_64.S, arch/x86/ia32/ia32entry.S of Linux 3.2 to
// 6.12]
const DispatchRow kRows[] = {
    {false, "sys_call_table", "x64_sys_call", {"do_syscall_64"}},
    {true,
     "ia32_sys_call_table",
     "ia32_sys_call",
     {"do_syscall_32_irqs_on", "do_int80_syscall_32", "do_fast_syscall_32", "__do_fast_syscall_32",
      "do_int80_emulation", "int80_emulation"}},
};

// Since 4.17 handlers are given struct pt_regs, and are called so. [commit fa697140f9a2]
constexpr std::string_view kTakesPtRegs = "__x64_sys_read";

bool is_compat(SyscallEntry::Kind kind) { return kind != SyscallEntry::Kind::kSyscall; }

// From a symbol to the next one.
VaRange extent_of(const symbols::SymbolTable& symbols, Va function) {
  constexpr std::uint64_t kMostBytes = 32 << 10;
  Va end = function + kMostBytes;
  for (const symbols::Symbol& symbol : symbols.all()) {
    if (symbol.address > function) end = std::min(end, symbol.address);
  }
  return {function, end};
}

class DispatchFinder {
 public:
  DispatchFinder(VirtualMemory& kernel, const symbols::SymbolTable& symbols, const DispatchRow& row)
      : kernel_(kernel), symbols_(symbols), row_(row) {
    for (const symbols::Symbol& symbol : symbols.all()) functions_.insert(symbol.address);
    found_.compat = row.compat;
    found_.saves_callers = symbols.find(kTakesPtRegs).has_value();
    const auto* abi =
        linux_os::find_abi(row.compat ? SyscallEntry::Kind::kInt80 : SyscallEntry::Kind::kSyscall);
    found_.handlers.resize(abi->names.size());
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
    constexpr std::uint64_t kEntryBytes = 0x600;  // of an entry and its branches, until 4.16
    for (const SyscallEntry& entry : entries) {
      if (is_compat(entry.kind) != row_.compat) continue;
      find_loads_in({entry.address, entry.address + kEntryBytes});
    }
  }

  // Without data symbols (no CONFIG_KALLSYMS_ALL) the first table is the one.
  void find_loads_in(const VaRange& code) {
    for (const x86::TableLoad& load : x86::find_table_loads(kernel_, code)) {
      if (!is_kernel_pointer(load.table.value)) continue;
      if (!found_.table) found_.table = load.table;
      const bool is_known = std::ranges::any_of(
          found_.loads, [&](const SyscallDispatch::Load& l) { return l.next == load.next; });
      if (load.table == *found_.table && !is_known) {
        found_.loads.push_back({load.next, load.target, load.late});
      }
    }
  }

  // Of a kernel older than our list of names the table is shorter than that.
  Result<> read_table() {
    std::vector<std::uint64_t> words(found_.handlers.size());
    const Blob blob = read_sparse(kernel_, *found_.table, words.size() * sizeof(std::uint64_t));
    for (std::size_t i = 0; i < words.size(); ++i) {
      const Va handler{blob.word(i * sizeof(std::uint64_t))};
      if (!functions_.contains(handler)) continue;
      found_.handlers[i] = handler;
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
    const auto tree = SWAT_TRY(x86::CompareTree::read(kernel_, extent_of(symbols_, *function)));
    for (std::size_t number = 0; number < found_.handlers.size(); ++number) {
      const auto handler = tree.leads_to(static_cast<std::uint32_t>(number));
      if (handler && functions_.contains(*handler)) found_.handlers[number] = *handler;
    }
    found_.found_by = std::string(row_.comparing);
    return {};
  }

  VirtualMemory& kernel_;
  const symbols::SymbolTable& symbols_;
  const DispatchRow& row_;
  SyscallDispatch found_;
  std::unordered_set<Va> functions_;
};

}  // namespace

Result<SyscallDispatch> find_syscall_dispatch(VirtualMemory& kernel,
                                              const symbols::SymbolTable& symbols,
                                              const std::vector<SyscallEntry>& entries,
                                              bool compat) {
  if (symbols.empty()) return fail(Errc::kNotFound, "no kernel symbols");
  const auto* const row = std::ranges::find(kRows, compat, &DispatchRow::compat);
  return DispatchFinder(kernel, symbols, *row).find(entries);
}

}  // namespace swat::os
