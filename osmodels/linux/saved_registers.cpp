#include "osmodels/linux/saved_registers.hpp"

#include <algorithm>

#include "osmodels/linux/syscalls.hpp"

namespace swat::os {
namespace {

using Kind = SyscallEntry::Kind;

struct SavedAt {
  std::string_view reg;  // as a SyscallAbi names it
  std::uint16_t offset;
};

// [arch/x86/include/uapi/asm/ptrace.h, struct pt_regs of x86_64; the same since 2.6]
constexpr SavedAt kPtRegs[] = {
    {"rbp", 32}, {"rbx", 40}, {"r10", 56},  {"r9", 64},   {"r8", 72},
    {"rcx", 88}, {"rdx", 96}, {"rsi", 104}, {"rdi", 112}, {"rax", 120},  // orig_ax: the number
};
constexpr std::uint64_t kPtRegsBytes = 168;
constexpr std::uint64_t kWord = 8;

// Kernel stacks are aligned to their size, which is 8 KiB until 3.14, 16 KiB since, more with
// KASAN. At a syscall's start only the topmost part is in use.
// [arch/x86/include/asm/page_64_types.h]
constexpr std::uint64_t kStackAlignment = 8192;
// What is left free above pt_regs: two words when the kernel can do FRED (since 6.9).
// [arch/x86/include/asm/thread_info.h, TOP_OF_KERNEL_STACK_PADDING]
constexpr std::uint64_t kPaddings[] = {0, 16};

// How a compiler passes arguments, where handlers are plain functions (until 4.16).
constexpr std::string_view kPlainArguments[] = {"rdi", "rsi", "rdx", "rcx", "r8", "r9"};

std::optional<std::uint64_t> saved(std::span<const std::byte> pt_regs, std::string_view reg) {
  const auto* const row = std::ranges::find(kPtRegs, reg, &SavedAt::reg);
  if (row == std::end(kPtRegs)) return {};
  std::uint64_t value = 0;
  std::memcpy(&value, pt_regs.data() + row->offset, sizeof(value));
  return value;
}

// The entry whose code `at` is in: the nearest below.
std::optional<Kind> entry_around(const std::vector<SyscallEntry>& entries, Va at, bool compat) {
  constexpr std::uint64_t kMostBytes = 4096;
  const SyscallEntry* nearest = nullptr;
  for (const SyscallEntry& entry : entries) {
    if ((entry.kind != Kind::kSyscall) != compat || entry.address > at ||
        at - entry.address > kMostBytes) {
      continue;
    }
    if (nearest == nullptr || nearest->address < entry.address) nearest = &entry;
  }
  return nearest == nullptr ? std::nullopt : std::optional(nearest->kind);
}

class DispatchReader {
 public:
  DispatchReader(GuestView& guest, unsigned vcpu, VirtualMemory& kernel,
                 const SyscallDispatch& dispatch, const std::vector<SyscallEntry>& entries)
      : guest_(guest), vcpu_(vcpu), kernel_(kernel), dispatch_(dispatch), entries_(entries) {}

  Result<DispatchedSyscall> read() {
    pc_ = Va{SWAT_TRY(guest_.reg(vcpu_, "rip"))};
    sp_ = Va{SWAT_TRY(guest_.reg(vcpu_, "rsp"))};
    const auto load = std::ranges::find_if(dispatch_.loads, [&](const SyscallDispatch::Load& l) {
      return l.next == pc_ || (!l.late.is_null() && l.late == pc_);
    });
    const bool at_handler = load == dispatch_.loads.end() || load->reg.empty();
    handler_ = at_handler ? pc_ : Va{SWAT_TRY(guest_.reg(vcpu_, load->reg))};
    if (at_handler && !dispatch_.saves_callers) return from_registers();
    for (const std::uint64_t padding : kPaddings) {
      if (auto call = from_stack(padding)) return call;
    }
    return fail(Errc::kNotFound, "no syscall is being dispatched", pc_.value);
  }

 private:
  // The number must be that of the handler: so this is no other reader of the table, and these are
  // the registers of this call.
  [[nodiscard]] Result<std::uint64_t> checked(std::uint64_t number) const {
    constexpr std::uint64_t kX32Bit = 0x40000000;  // [asm/unistd.h, __X32_SYSCALL_BIT]
    if (dispatch_.compat) number &= 0xffffffff;
    if (dispatch_.is_handler(dispatch_.compat ? number : number & ~kX32Bit, handler_)) {
      return number;
    }
    return fail(Errc::kNotFound, "another handler than the number's");
  }

  [[nodiscard]] DispatchedSyscall call_of(std::uint64_t number, Va return_address) const {
    DispatchedSyscall call{Kind::kSyscall, number, {}};
    // Which of the 32-bit entries it was, the code around the call into C tells.
    if (dispatch_.compat) {
      call.entry = entry_around(entries_, return_address, true).value_or(Kind::kInt80);
    }
    return call;
  }

  // Below pt_regs lies what the entry's first call has pushed.
  Result<DispatchedSyscall> from_stack(std::uint64_t padding) {
    const Va top = (sp_ + kStackAlignment).aligned_down(kStackAlignment) - padding;
    std::array<std::byte, kWord + kPtRegsBytes> bytes;
    SWAT_CHECK(kernel_.read(top - bytes.size(), bytes));
    const auto pt_regs = std::span(bytes).subspan(kWord);
    const auto* abi = linux_os::find_abi(dispatch_.compat ? Kind::kInt80 : Kind::kSyscall);
    const std::uint64_t number = SWAT_TRY(checked(*saved(pt_regs, abi->number)));
    Va return_address;
    std::memcpy(&return_address.value, bytes.data(), kWord);
    DispatchedSyscall call = call_of(number, return_address);
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
      call.arguments[i] = masked(saved(pt_regs, abi->args[i].reg));
    }
    return call;
  }

  Result<DispatchedSyscall> from_registers() {
    const std::uint64_t number = SWAT_TRY(checked(SWAT_TRY(guest_.reg(vcpu_, "rax"))));
    DispatchedSyscall call = call_of(number, Va{read_as<std::uint64_t>(kernel_, sp_).value_or(0)});
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
      const auto value = guest_.reg(vcpu_, kPlainArguments[i]);
      if (value) call.arguments[i] = masked(*value);
    }
    return call;
  }

  [[nodiscard]] std::optional<std::uint64_t> masked(std::optional<std::uint64_t> value) const {
    if (value && dispatch_.compat) return *value & 0xffffffff;
    return value;
  }

  GuestView& guest_;
  unsigned vcpu_;
  VirtualMemory& kernel_;
  const SyscallDispatch& dispatch_;
  const std::vector<SyscallEntry>& entries_;
  Va pc_;
  Va sp_;
  Va handler_;
};

}  // namespace

Result<DispatchedSyscall> read_dispatched(GuestView& guest, unsigned vcpu, VirtualMemory& kernel,
                                          const SyscallDispatch& dispatch,
                                          const std::vector<SyscallEntry>& entries) {
  return DispatchReader(guest, vcpu, kernel, dispatch, entries).read();
}

}  // namespace swat::os
