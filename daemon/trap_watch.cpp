// Watchpoints: no translation-cache flush, no step, any length; the stop comes after the access
// (x86 under TCG; facts/qemu.md 0.2).
#include "daemon/trap.hpp"
#include "osmodels/architecture.hpp"
#include "osmodels/arm/entry_path.hpp"
#include "osmodels/x86/entry_path.hpp"

namespace swat::daemon {
namespace {

class WatchKind final : public TrapKind {
 public:
  std::string_view name() const override { return "watch"; }

  // The entry path's store of the user's stack pointer, one word for each vCPU.
  Result<std::vector<Trap>> entry(os::GuestView& guest, os::OsModel& model,
                                  const os::SyscallEntry& entry,
                                  const SyscallDemand&) const override {
    const auto* abi = os::find_abi(entry.kind);
    if (abi == nullptr) return fail(Errc::kUnsupported, "no ABI for this entry");
    if (guest.architecture() == os::Architecture::kArm) return arm_literal(model, *abi, entry);
    if (os::machine_of(guest.architecture()).stops_before_access) {
      return fail(Errc::kUnsupported, "the entry's first access is not known on this architecture");
    }
    if (entry.kind == os::SyscallEntry::Kind::kNtSysenter) return arm_read(model, *abi, entry);
    // 32-bit Linux since 4.16 loads TSS.sp1 where SYSENTER leads, which no processor does. But
    // its processors read TSS.sp0 at an interrupt, and that is in the same page: while a hit is
    // pending, a read of any word of a watched page aborts QEMU. (7.2.22, Debian's 6.1, within
    // seconds)
    if (model.word_bytes() == 4) {
      return fail(Errc::kUnsupported, "32-bit entries access the stack and the TSS alone");
    }
    const auto store = SWAT_TRY(os::x86::find_entry_store(model.kernel_memory(), entry.address));
    std::vector<Trap> traps;
    for (unsigned vcpu = 0; vcpu < guest.vcpu_count(); ++vcpu) {
      const Va word = SWAT_TRY(model.per_cpu_base(vcpu)) + store.gs_offset;
      traps.push_back({{gdbproto::PointKind::kWriteWatch, word, store.size_bytes},
                       EntryTrap{abi, store.stop_pc, store.late_pcs, vcpu, 0, word}});
    }
    return traps;
  }

  // A read watch on the saved result of each thread that is in a call: one stop a return. The way
  // out has one access at a fixed address, the load of TSS.sp0, which serves all threads; but the
  // CPU reads that word, too, when an interrupt comes, and a watch there aborts QEMU (facts/qemu.md
  // 0.2). A breakpoint on the way out is 11 (busy) to 43 (busybox) times slower on QEMU 7.2, where
  // each stop flushes, and stops for exceptions as well; 1.2 and 1.8 times on 11.1, which does not.
  // [tests/bench/returns.py]
  Result<std::vector<Trap>> returns(os::OsModel& model) const override {
    SWAT_CHECK(model.track_results());
    return std::vector<Trap>{};
  }

  // One watch over all slots: jmp *slot and call *slot stop at the callee's first instruction.
  Result<std::vector<Trap>> imports(VaRange slots) const override {
    return std::vector<Trap>{
        {{gdbproto::PointKind::kReadWatch, slots.start, slots.size()}, ImportTrap{slots}}};
  }

  Result<std::vector<Trap>> function(Va, FunctionTrap) const override {
    return fail(Errc::kUnsupported, "a watch sees reads of slots, not the code of one function");
  }

 private:
  // The read of a word that all vCPUs share.
  static Result<std::vector<Trap>> arm_read(os::OsModel& model, const os::SyscallAbi& abi,
                                            const os::SyscallEntry& entry) {
    const auto read = SWAT_TRY(os::x86::find_entry_read(model.kernel_memory(), entry.address));
    return std::vector<Trap>{{{gdbproto::PointKind::kReadWatch, read.word, read.size_bytes},
                              EntryTrap{&abi, read.stop_pc, read.late_pcs, {}, read.advanced}}};
  }

  // The entry path's read of a word of its own, by whichever vCPU.
  static Result<std::vector<Trap>> arm_literal(os::OsModel& model, const os::SyscallAbi& abi,
                                               const os::SyscallEntry& entry) {
    const auto path = SWAT_TRY(os::arm::read_entry_path(model.kernel_memory(), entry.address));
    if (!path.literal) {
      return fail(Errc::kUnsupported, "the entry reads no word that nothing else reads");
    }
    return std::vector<Trap>{{{gdbproto::PointKind::kReadWatch, path.literal->word, 4},
                              EntryTrap{&abi, path.literal->at, {}, {}}}};
  }
};

}  // namespace

const TrapKind& watch_kind() {
  static const WatchKind kind;
  return kind;
}

}  // namespace swat::daemon
