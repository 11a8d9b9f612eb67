#include "osmodels/linux/result_words_32.hpp"

#include <algorithm>

#include "osmodels/linux/saved_registers.hpp"
#include "osmodels/x86/syscall_frame.hpp"

namespace swat::os {
namespace {

using Kind = SyscallEntry::Kind;

constexpr std::uint64_t kSp0 = 4;  // in the TSS [Intel SDM vol. 3, figure 8-2]
// Since 4.15 sp0 is a small stack to enter by, which lies near the TSS, below it, and sp1 is where
// the thread's own begins. [arch/x86/include/asm/cpu_entry_area.h; processor.h,
// update_task_stack()]
constexpr std::uint64_t kEntryStackWithin = 16384;

// struct pt_regs: bx cx dx si di bp ax ds es [fs] [gs] orig_ax ip cs flags sp ss. Since 2.6.30 it
// has both fs and gs; before, one of them or none. [arch/x86/include/asm/ptrace.h]
constexpr std::uint64_t kMostFrameBytes = 68;
constexpr std::uint64_t kAx = 24;
constexpr std::uint64_t kIpFromTop = 20;

}  // namespace

Result<ResultWords32> ResultWords32::find(GuestView& guest, AddressSpace& kernel,
                                          std::vector<SyscallEntry> entries) {
  ResultWords32 words(guest, std::move(entries));
  words.frame_bytes_ = kMostFrameBytes;
  for (const SyscallEntry& entry : words.entries_) {
    if (entry.kind != Kind::kInt80) continue;
    // Newer ones push more, and move it elsewhere.
    const auto pushed = SWAT_TRY(x86::pushed_by_int80(kernel, entry.address));
    words.frame_bytes_ = std::min(pushed, kMostFrameBytes);
  }
  for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
    const Va tss = SWAT_TRY(guest.x86_tables(vcpu)).tr_base;
    words.cpus_.push_back({tss, SWAT_TRY(kernel.translate(tss + kSp0)).at});
  }
  return words;
}

PhysicalMemory::Piece ResultWords32::piece(unsigned vcpu) {
  Cpu& cpu = cpus_.at(vcpu);
  return {cpu.at, std::as_writable_bytes(std::span(cpu.words))};
}

Result<ResultWord> ResultWords32::last(unsigned vcpu, VirtualMemory& kernel) {
  const Cpu& cpu = cpus_.at(vcpu);
  const Va sp0{cpu.words[0]};
  const bool enters_elsewhere = sp0 < cpu.tss && cpu.tss - sp0 <= kEntryStackWithin;
  const Va top = enters_elsewhere ? Va{cpu.words[2]} : sp0;
  if (top.value < kMostFrameBytes || top.value % 4 != 0) {
    return fail(Errc::kBadImage, "the TSS names no stack", top.value);
  }
  const Va frame = top - frame_bytes_;
  ResultWord word{frame + kAx, frame, {}, top - kIpFromTop, 4};
  if (leaves_by_old_sysexit(vcpu, kernel, frame)) {
    word.watched_bytes = static_cast<unsigned>(word.user_pc - word.at) + word.bytes;
  }
  return word;
}

// Until 4.3 the entry itself calls the handler, with struct pt_regs on top of the stack. There
// SYSEXIT's way, when no signal has come, leaves eax as it is, and reads ip.
bool ResultWords32::leaves_by_old_sysexit(unsigned vcpu, VirtualMemory& kernel, Va frame) {
  const Va sp{guest_.reg(vcpu, "esp").value_or(0) & 0xffffffff};
  if (sp + 4 != frame) return false;
  const auto from = read_as<std::uint32_t>(kernel, sp);
  return from && entry_around(entries_, Va{*from}) == Kind::kSysenter;
}

}  // namespace swat::os
