#include "osmodels/linux/syscall_paths.hpp"

#include "osmodels/linux/dispatch_arm.hpp"
#include "osmodels/linux/saved_registers.hpp"
#include "osmodels/linux/syscall_dispatch.hpp"
#include "osmodels/linux/syscall_entries.hpp"

namespace swat::os {

Result<std::vector<SyscallEntry>> SyscallPaths::entries() {
  entries_ = SWAT_TRY(find_entries());
  return entries_;
}

Aarch64Kernel SyscallPaths::aarch64() { return aarch64_kernel(guest_, kernel_, symbols_, layout_); }

Result<std::vector<SyscallEntry>> SyscallPaths::find_entries() {
  if (is(Architecture::kAarch64)) return find_aarch64_entries(aarch64());
  if (is(Architecture::kArm)) return find_arm_entries(kernel_, entry_);
  return find_syscall_entries(guest_, kernel_, symbols_, layout_);
}

Result<std::shared_ptr<const SyscallDispatch>> SyscallPaths::dispatch(bool compat) {
  auto& known = dispatches_[compat ? 1 : 0];
  if (known != nullptr) return known;
  SWAT_CHECK(entries());
  auto found = SWAT_TRY(find_dispatch(compat));
  return known = std::make_shared<const SyscallDispatch>(std::move(found));
}

Result<SyscallDispatch> SyscallPaths::find_dispatch(bool compat) {
  if (is(Architecture::kAarch64)) return find_aarch64_dispatch(aarch64(), compat);
  if (is(Architecture::kArm)) return find_arm_dispatch(kernel_, entry_, compat, layout_);
  return find_syscall_dispatch(kernel_, symbols_, entries_, compat, layout_);
}

Result<DispatchedSyscall> SyscallPaths::dispatched(unsigned vcpu, const SyscallDispatch& dispatch) {
  if (is(Architecture::kAarch64)) return read_aarch64_dispatched(guest_, vcpu, kernel_, dispatch);
  if (is(Architecture::kArm)) return read_arm_dispatched(guest_, vcpu, dispatch);
  return read_dispatched(guest_, vcpu, kernel_, dispatch, entries_);
}

}  // namespace swat::os
