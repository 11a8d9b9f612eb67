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

// Kernel stacks are aligned to their size, which is 8 KiB on i386 and on x86_64 until 3.14, 16 KiB
// since, more with KASAN. At a syscall's start only the topmost part is in use.
// [arch/x86/include/asm/page_64_types.h, page_32_types.h]
constexpr std::uint64_t kStackAlignment = 8192;

struct Frame {
  std::uint64_t word_bytes;
  std::span<const SavedAt> saved;
  std::size_t bytes;
  // What is left free above pt_regs. [arch/x86/include/asm/thread_info.h,
  // TOP_OF_KERNEL_STACK_PADDING]
  std::span<const std::uint64_t> paddings;
  // How a compiler passes arguments, where handlers are plain functions; none: on the stack.
  std::span<const std::string_view> arguments;
};

// [arch/x86/include/uapi/asm/ptrace.h, struct pt_regs of x86_64; the same since 2.6]
constexpr SavedAt kSaved64[] = {
    {"rbp", 32}, {"rbx", 40}, {"r10", 56},  {"r9", 64},   {"r8", 72},
    {"rcx", 88}, {"rdx", 96}, {"rsi", 104}, {"rdi", 112}, {"rax", 120},  // orig_ax: the number
};
// [the same of i386, since 2.6.30]
constexpr SavedAt kSaved32[] = {
    {"rbx", 0}, {"rcx", 4}, {"rdx", 8}, {"rsi", 12}, {"rdi", 16}, {"rbp", 20}, {"rax", 44},
};
// Two words when the kernel can do FRED (since 6.9); on i386 what virtual 8086 mode saves.
constexpr std::uint64_t kPaddings64[] = {0, 16};
constexpr std::uint64_t kPaddings32[] = {0, 8, 16};
// Until 4.16.
constexpr std::string_view kPlainArguments[] = {"rdi", "rsi", "rdx", "rcx", "r8", "r9"};

constexpr Frame kFrames[] = {
    {8, kSaved64, 168, kPaddings64, kPlainArguments},
    {4, kSaved32, 68, kPaddings32, {}},
};
constexpr std::size_t kLargestFrame = 168;

std::uint64_t word_in(std::span<const std::byte> bytes, std::uint64_t offset,
                      std::uint64_t word_bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, word_bytes);
  return value;
}

std::optional<std::uint64_t> saved(const Frame& frame, std::span<const std::byte> pt_regs,
                                   std::string_view reg) {
  const auto row = std::ranges::find(frame.saved, reg, &SavedAt::reg);
  if (row == frame.saved.end()) return {};
  return word_in(pt_regs, row->offset, frame.word_bytes);
}

class DispatchReader {
 public:
  DispatchReader(GuestView& guest, unsigned vcpu, VirtualMemory& kernel,
                 const SyscallDispatch& dispatch, const std::vector<SyscallEntry>& entries)
      : guest_(guest),
        vcpu_(vcpu),
        kernel_(kernel),
        dispatch_(dispatch),
        entries_(entries),
        frame_(*std::ranges::find(kFrames, dispatch.word_bytes, &Frame::word_bytes)),
        is_32_bit_(dispatch.compat || dispatch.word_bytes == 4) {}

  Result<DispatchedSyscall> read() {
    pc_ = Va{SWAT_TRY(guest_.reg(vcpu_, "rip"))};
    sp_ = Va{SWAT_TRY(guest_.reg(vcpu_, "rsp"))};
    const auto load = std::ranges::find_if(dispatch_.loads, [&](const SyscallDispatch::Load& l) {
      return l.next == pc_ || (!l.late.is_null() && l.late == pc_);
    });
    const bool at_handler = load == dispatch_.loads.end() || load->reg.empty();
    handler_ = at_handler ? pc_ : Va{SWAT_TRY(guest_.reg(vcpu_, load->reg))};
    if (at_handler && !dispatch_.saves_callers) return at_plain_handler();
    for (const std::uint64_t padding : frame_.paddings) {
      if (auto call = from_stack(padding)) return call;
    }
    return fail(Errc::kNotFound, "no syscall is being dispatched", pc_.value);
  }

 private:
  // The number must be that of the handler: so this is no other reader of the table, and these are
  // the registers of this call.
  [[nodiscard]] Result<std::uint64_t> checked(std::uint64_t number) const {
    constexpr std::uint64_t kX32Bit = 0x40000000;  // [asm/unistd.h, __X32_SYSCALL_BIT]
    if (is_32_bit_) number &= 0xffffffff;
    if (dispatch_.is_handler(is_32_bit_ ? number : number & ~kX32Bit, handler_)) return number;
    return fail(Errc::kNotFound, "another handler than the number's");
  }

  [[nodiscard]] DispatchedSyscall call_of(std::uint64_t number, Va return_address) const {
    DispatchedSyscall call{Kind::kSyscall, number, {}};
    // Which of the 32-bit entries it was, the code around the call into C tells.
    if (is_32_bit_) call.entry = entry_around(entries_, return_address).value_or(Kind::kInt80);
    return call;
  }

  // Below pt_regs lies what the entry's first call has pushed.
  Result<DispatchedSyscall> from_stack(std::uint64_t padding) {
    const Va top = (sp_ + kStackAlignment).aligned_down(kStackAlignment) - padding;
    std::array<std::byte, 8 + kLargestFrame> buffer;
    const auto bytes = std::span(buffer).first(frame_.word_bytes + frame_.bytes);
    SWAT_CHECK(kernel_.read(top - bytes.size(), bytes));
    const auto pt_regs = bytes.subspan(frame_.word_bytes);
    const auto* abi = find_abi(is_32_bit_ ? Kind::kInt80 : Kind::kSyscall);
    const std::uint64_t number = SWAT_TRY(checked(*saved(frame_, pt_regs, abi->number)));
    DispatchedSyscall call = call_of(number, Va{word_in(bytes, 0, frame_.word_bytes)});
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
      call.arguments[i] = masked(saved(frame_, pt_regs, abi->args[i].reg));
    }
    return call;
  }

  Result<DispatchedSyscall> at_plain_handler() {
    const std::uint64_t number = SWAT_TRY(checked(SWAT_TRY(guest_.reg(vcpu_, "rax"))));
    // The return address, and arguments, if they are there.
    std::array<std::byte, std::size_t{7} * 8> buffer;
    const std::size_t words = frame_.arguments.empty() ? 7 : 1;
    const auto stack = std::span(buffer).first(words * frame_.word_bytes);
    std::ranges::fill(stack, std::byte{0});
    const bool is_known = kernel_.read(sp_, stack).has_value();
    DispatchedSyscall call = call_of(number, Va{word_in(stack, 0, frame_.word_bytes)});
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
      if (!frame_.arguments.empty()) {
        const auto value = guest_.reg(vcpu_, frame_.arguments[i]);
        if (value) call.arguments[i] = masked(*value);
      } else if (is_known) {
        call.arguments[i] = word_in(stack, (i + 1) * frame_.word_bytes, frame_.word_bytes);
      }
    }
    return call;
  }

  [[nodiscard]] std::optional<std::uint64_t> masked(std::optional<std::uint64_t> value) const {
    if (value && is_32_bit_) return *value & 0xffffffff;
    return value;
  }

  GuestView& guest_;
  unsigned vcpu_;
  VirtualMemory& kernel_;
  const SyscallDispatch& dispatch_;
  const std::vector<SyscallEntry>& entries_;
  const Frame& frame_;
  bool is_32_bit_;  // the caller
  Va pc_;
  Va sp_;
  Va handler_;
};

}  // namespace

std::optional<SyscallEntry::Kind> entry_around(const std::vector<SyscallEntry>& entries, Va at) {
  constexpr std::uint64_t kMostBytes = 4096;
  const SyscallEntry* nearest = nullptr;
  for (const SyscallEntry& entry : entries) {
    if (entry.kind == Kind::kSyscall || entry.address > at || at - entry.address > kMostBytes) {
      continue;
    }
    if (nearest == nullptr || nearest->address < entry.address) nearest = &entry;
  }
  return nearest == nullptr ? std::nullopt : std::optional(nearest->kind);
}

Result<DispatchedSyscall> read_dispatched(GuestView& guest, unsigned vcpu, VirtualMemory& kernel,
                                          const SyscallDispatch& dispatch,
                                          const std::vector<SyscallEntry>& entries) {
  return DispatchReader(guest, vcpu, kernel, dispatch, entries).read();
}

}  // namespace swat::os
