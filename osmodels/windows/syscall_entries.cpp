#include "osmodels/windows/syscall_entries.hpp"

#include <algorithm>
#include <array>

#include "osmodels/linux/kernel_locator.hpp"
#include "osmodels/windows/code_search.hpp"
#include "osmodels/x86/entry_path.hpp"

namespace swat::os::windows {
namespace {

using Kind = SyscallEntry::Kind;

constexpr std::size_t kMostFound = 8;  // of one form in one section

// How an entry's code begins, and what proves that it goes on as an entry does.
struct EntryRow {
  unsigned word_bytes;
  Kind kind;
  std::optional<Va> X86SystemTables::*msr;
  std::string_view msr_name;
  std::array<std::uint8_t, 8> start;
  std::size_t start_bytes;
  bool (*is_entry)(VirtualMemory& kernel, Va at);
};
// [hvmi, syscalls.yaml: entries of Windows 7 and 10, with kernel shadowing and without]
const EntryRow kRows[] = {
    // swapgs; mov gs:[disp32],rsp
    {8,
     Kind::kNtSyscall,
     &X86SystemTables::lstar,
     "LSTAR",
     {0x0f, 0x01, 0xf8, 0x65, 0x48, 0x89, 0x24, 0x25},
     8,
     [](VirtualMemory& kernel, Va at) { return x86::find_entry_store(kernel, at).has_value(); }},
    // mov ecx,23; push 30: the selectors of user data and of the KPCR
    {4,
     Kind::kNtSysenter,
     &X86SystemTables::sysenter_eip,
     "SYSENTER_EIP",
     {0xb9, 0x23, 0x00, 0x00, 0x00, 0x6a, 0x30},
     7,
     [](VirtualMemory& kernel, Va at) { return x86::find_entry_read(kernel, at).has_value(); }},
};

class EntryFinder {
 public:
  EntryFinder(GuestView& guest, VirtualMemory& kernel, const symbols::PeLayout& image)
      : guest_(guest), kernel_(kernel), image_(image) {}

  std::vector<SyscallEntry> find(unsigned word_bytes) {
    for (const EntryRow& row : kRows) {
      if (row.word_bytes == word_bytes && !by_registers(row)) by_code(row);
    }
    if (word_bytes == 4) by_gate();
    return std::move(found_);
  }

 private:
  // Whether they tell, be it that there is no such entry.
  bool by_registers(const EntryRow& row) {
    bool is_told = false;
    for (unsigned vcpu = 0; vcpu < guest_.vcpu_count(); ++vcpu) {
      const auto tables = guest_.x86_tables(vcpu);
      const auto value = tables ? (*tables).*row.msr : std::nullopt;
      if (!value) continue;
      is_told = true;
      add(row.kind, *value, std::string(row.msr_name) + " in the device state");
    }
    return is_told;
  }

  // An entry that the kernel does not use is one that is never met.
  void by_code(const EntryRow& row) {
    for (const symbols::PeSection& section : image_.sections) {
      if (!section.executable) continue;
      const auto start = std::span(row.start).first(row.start_bytes);
      for (const Va entry : find_code(kernel_, section.where, start, kMostFound)) {
        if (row.is_entry(kernel_, entry)) add(row.kind, entry, "its code");
      }
    }
  }

  // Stubs of 5.0 call the kernel by a gate, and any program can.
  void by_gate() {
    constexpr unsigned kVector = 0x2e;
    for (unsigned vcpu = 0; vcpu < guest_.vcpu_count(); ++vcpu) {
      const auto tables = guest_.x86_tables(vcpu);
      const auto gate = tables ? read_idt_gate(kernel_, tables->idt_base, kVector, 4)
                               : tl::unexpected(tables.error());
      if (gate && gate->for_user) add(Kind::kInt2e, gate->target, "IDT gate 0x2e");
    }
  }

  // Registers are the guest's: what is not in the kernel's image is no entry.
  void add(Kind kind, Va address, std::string found_by) {
    const bool is_known = std::ranges::any_of(
        found_, [&](const SyscallEntry& e) { return e.kind == kind && e.address == address; });
    if (is_known || !image_.is_code(address)) return;
    found_.push_back({kind, address, std::move(found_by)});
  }

  GuestView& guest_;
  VirtualMemory& kernel_;
  const symbols::PeLayout& image_;
  std::vector<SyscallEntry> found_;
};

}  // namespace

Result<std::vector<SyscallEntry>> find_syscall_entries(GuestView& guest, VirtualMemory& kernel,
                                                       const symbols::PeLayout& image,
                                                       unsigned word_bytes) {
  auto entries = EntryFinder(guest, kernel, image).find(word_bytes);
  if (entries.empty()) return fail(Errc::kNotFound, "no way into the kernel is known");
  return entries;
}

}  // namespace swat::os::windows
