#include "osmodels/linux/dispatch_arm.hpp"

#include <algorithm>

#include "osmodels/arm/code.hpp"
#include "osmodels/arm/entry_path.hpp"
#include "osmodels/linux/blob.hpp"

namespace swat::os {
namespace {

constexpr std::uint32_t kMostHandlers = 1024;
constexpr std::uint32_t kLeastHandlers = 200;  // 2.4 had 226

SyscallEntry::Kind kind_of(const arm::EntryPath& path) {
  return path.looks_at_instruction ? SyscallEntry::Kind::kArmOabiSvc : SyscallEntry::Kind::kArmSvc;
}

std::vector<SyscallDispatch::Load> loads_of(const arm::EntryPath& path) {
  std::vector<SyscallDispatch::Load> loads;
  for (const arm::EntryPath::TableLoad& load : path.loads) {
    SyscallDispatch::Load known;
    known.next = load.at + 4;
    known.at = load.at;
    known.number = arm::register_name(load.number);
    known.table = arm::register_name(load.table);
    known.condition = load.condition;
    loads.push_back(known);
  }
  return loads;
}

}  // namespace

Result<std::vector<SyscallEntry>> find_arm_entries(VirtualMemory& kernel, Va entry) {
  if (entry.value % 4 != 0) {
    return fail(Errc::kUnsupported, "the kernel is of Thumb code: its system calls are not traced");
  }
  const arm::EntryPath path = SWAT_TRY(arm::read_entry_path(kernel, entry));
  return std::vector<SyscallEntry>{{kind_of(path), entry, "vector of SVC"}};
}

Result<SyscallDispatch> find_arm_dispatch(VirtualMemory& kernel, Va entry, bool oabi,
                                          const KernelLayout& layout) {
  const arm::EntryPath path = SWAT_TRY(arm::read_entry_path(kernel, entry));
  SyscallDispatch found;
  found.compat = oabi;
  found.word_bytes = layout.word_bytes;
  found.first_number = oabi ? arm::kOabiBase : 0;
  found.table = oabi ? path.oabi_table : path.table;
  found.found_by = "the table in the code of the entry";
  found.loads = loads_of(path);
  const bool is_known = found.table && layout.is_pointer(found.table->value);
  if (!is_known || found.loads.empty()) {
    return fail(Errc::kNotFound, "no table of handlers in the code of svc");
  }
  if (path.count < kLeastHandlers || path.count > kMostHandlers) {
    return fail(Errc::kNotFound, "how long the syscall table is, is not known");
  }
  const Blob blob =
      read_sparse(kernel, *found.table, std::size_t{path.count} * found.word_bytes, layout);
  for (std::uint32_t i = 0; i < path.count; ++i) {
    const Va handler{blob.word(i * found.word_bytes)};
    if (!layout.is_pointer(handler.value)) {
      return fail(Errc::kNotFound, "what should be the syscall table holds no handlers");
    }
    found.handlers.push_back(handler);
  }
  return found;
}

Result<DispatchedSyscall> read_arm_dispatched(GuestView& guest, unsigned vcpu,
                                              const SyscallDispatch& dispatch) {
  const Va pc{SWAT_TRY(guest.reg(vcpu, arm::register_name(arm::kPc)))};
  const auto load = std::ranges::find(dispatch.loads, pc, &SyscallDispatch::Load::at);
  if (load == dispatch.loads.end() ||
      Va{SWAT_TRY(guest.reg(vcpu, load->table))} != *dispatch.table ||
      !arm::Execution(SWAT_TRY(guest.reg(vcpu, "cpsr"))).executes(load->condition)) {
    return fail(Errc::kNotFound, "no syscall is being dispatched", pc.value);
  }
  const std::uint64_t index = SWAT_TRY(guest.reg(vcpu, load->number));
  DispatchedSyscall call{SyscallEntry::Kind::kArmSvc, dispatch.first_number + index, {}};
  for (unsigned i = 0; i < call.arguments.size(); ++i) {
    const auto value = guest.reg(vcpu, arm::register_name(i));
    if (value) call.arguments[i] = *value & 0xffffffff;
  }
  return call;
}

// struct pt_regs: r0 to r12, sp, lr, pc, cpsr, and r0 as the caller had it. Above it 8 bytes are
// left free, below it a handler's fifth and sixth arguments lie. [arch/arm/include/asm/ptrace.h;
// thread_info.h, THREAD_START_SP; arch/arm/kernel/entry-common.S, S_OFF]
Result<ResultWord> arm_result_word(GuestView& guest, unsigned vcpu) {
  constexpr std::uint64_t kPtRegs = 72;
  constexpr std::uint64_t kFree = 8;
  constexpr std::uint64_t kArguments = 8;
  constexpr std::uint64_t kPc = 60;
  // Stacks are aligned to their size, which is 8 KiB, or more with KASAN.
  constexpr std::uint64_t kStackAlignment = 8192;
  const Va sp{SWAT_TRY(guest.reg(vcpu, arm::register_name(arm::kSp)))};
  const Va top = (sp + (kStackAlignment - 1)).aligned_down(kStackAlignment);
  const Va saved = top - kFree - kPtRegs;
  return ResultWord{saved + kPc, saved - kArguments, saved, saved + kPc, 4};
}

}  // namespace swat::os
