#include "osmodels/linux/syscall_entries.hpp"

#include "osmodels/linux/kernel_locator.hpp"

namespace swat::os {
namespace {

using Kind = SyscallEntry::Kind;

struct EntryRow {
  unsigned word_bytes;  // of the kernel
  Kind kind;
  std::optional<Va> X86SystemTables::*msr;  // null: an IDT gate
  std::string_view msr_name;
  std::initializer_list<std::string_view> symbols;  // newest first
};

// [arch/x86/entry/entry_64.S, entry_64_compat.S, arch/x86/ia32/ia32entry.S of Linux 3.2 to 6.12;
// arch/x86/entry/entry_32.S, arch/i386/kernel/entry.S of Linux 2.4 to 6.12]
const EntryRow kRows[] = {
    {8, Kind::kSyscall, &X86SystemTables::lstar, "LSTAR", {"entry_SYSCALL_64", "system_call"}},
    {8,
     Kind::kCompatSyscall,
     &X86SystemTables::cstar,
     "CSTAR",
     {"entry_SYSCALL_compat", "ia32_cstar_target"}},
    {8,
     Kind::kSysenter,
     &X86SystemTables::sysenter_eip,
     "SYSENTER_EIP",
     {"entry_SYSENTER_compat", "ia32_sysenter_target"}},
    {8,
     Kind::kInt80,
     nullptr,
     "IDT gate 0x80",
     {"asm_int80_emulation", "int80_emulation", "entry_INT80_compat", "ia32_syscall"}},
    {4, Kind::kInt80, nullptr, "IDT gate 0x80", {"entry_INT80_32", "system_call"}},
    {4,
     Kind::kSysenter,
     &X86SystemTables::sysenter_eip,
     "SYSENTER_EIP",
     {"entry_SYSENTER_32", "ia32_sysenter_target", "sysenter_entry"}},
};

// `mov $-ENOSYS,%eax`, with or without an endbr64 before it: what CSTAR holds without IA32
// emulation. [ignore_sysret, entry_SYSCALL32_ignore in arch/x86/entry/entry_64.S]
bool only_refuses(VirtualMemory& kernel, Va entry) {
  constexpr std::array<std::uint8_t, 4> kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
  constexpr std::array<std::uint8_t, 5> kMovEnosys = {0xb8, 0xda, 0xff, 0xff, 0xff};
  std::array<std::uint8_t, 9> code{};
  if (!kernel.read(entry, std::as_writable_bytes(std::span(code)))) return false;
  const bool marked = std::equal(kEndbr64.begin(), kEndbr64.end(), code.begin());
  return std::equal(kMovEnosys.begin(), kMovEnosys.end(), code.begin() + (marked ? 4 : 0));
}

class EntryFinder {
 public:
  EntryFinder(GuestView& guest, VirtualMemory& kernel, const symbols::SymbolTable& symbols,
              const KernelLayout& layout)
      : guest_(guest), kernel_(kernel), symbols_(symbols), layout_(layout) {}

  std::vector<SyscallEntry> find() {
    for (const EntryRow& row : kRows) {
      if (row.word_bytes != layout_.word_bytes) continue;
      // With KPTI, 4.15 to 4.19 gave every CPU its own LSTAR. [entry_SYSCALL_64_trampoline]
      bool told = false;
      for (unsigned vcpu = 0; vcpu < guest_.vcpu_count(); ++vcpu) told = by_cpu(row, vcpu) || told;
      if (!told) by_symbol(row);
    }
    return std::move(found_);
  }

 private:
  // Whether this vCPU tells what the row asks, be it that there is no such entry.
  bool by_cpu(const EntryRow& row, unsigned vcpu) {
    const Result<X86SystemTables> tables = guest_.x86_tables(vcpu);
    if (!tables) return false;
    if (row.msr == nullptr) return by_gate(row, *tables);
    const std::optional<Va>& value = *tables.*row.msr;
    if (!value) return false;
    add(row, *value, std::string(row.msr_name) + " in the device state");
    return true;
  }

  bool by_gate(const EntryRow& row, const X86SystemTables& tables) {
    constexpr unsigned kLinuxVector = 0x80;
    const Result<IdtGate> gate =
        read_idt_gate(kernel_, tables.idt_base, kLinuxVector, layout_.word_bytes);
    if (!gate) return gate.error().code == Errc::kNotFound;
    if (gate->for_user) add(row, gate->target, std::string(row.msr_name));
    return true;
  }

  void by_symbol(const EntryRow& row) {
    for (const std::string_view name : row.symbols) {
      const std::optional<Va> symbol = symbols_.find(name);
      if (!symbol) continue;
      add(row, *symbol, "kernel symbol " + std::string(name));
      return;
    }
  }

  void add(const EntryRow& row, Va address, std::string found_by) {
    const bool known = std::ranges::any_of(
        found_, [&](const SyscallEntry& e) { return e.kind == row.kind && e.address == address; });
    if (known || !layout_.is_address(address.value) || only_refuses(kernel_, address)) return;
    found_.push_back({row.kind, address, std::move(found_by)});
  }

  GuestView& guest_;
  VirtualMemory& kernel_;
  const symbols::SymbolTable& symbols_;
  KernelLayout layout_;
  std::vector<SyscallEntry> found_;
};

}  // namespace

Result<std::vector<SyscallEntry>> find_syscall_entries(GuestView& guest, VirtualMemory& kernel,
                                                       const symbols::SymbolTable& symbols,
                                                       const KernelLayout& layout) {
  std::vector<SyscallEntry> entries = EntryFinder(guest, kernel, symbols, layout).find();
  if (entries.empty()) return fail(Errc::kNotFound, "no way into the kernel is known");
  return entries;
}

}  // namespace swat::os
