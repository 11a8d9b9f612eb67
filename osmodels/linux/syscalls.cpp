#include "osmodels/linux/syscalls.hpp"

#include <algorithm>
#include <vector>

namespace swat::os::linux_os {
namespace {

struct NumberedName {
  std::uint32_t number;
  std::string_view name;
};

constexpr NumberedName kX86_64[] = {
#include "osmodels/linux/syscall_names_x86_64.inc"
};

constexpr NumberedName kX32[] = {
#include "osmodels/linux/syscall_names_x32.inc"
};

constexpr NumberedName kI386[] = {
#include "osmodels/linux/syscall_names_i386.inc"
};

constexpr NumberedName kAarch64[] = {
#include "osmodels/linux/syscall_names_aarch64.inc"
};

constexpr NumberedName kArmEabi[] = {
#include "osmodels/linux/syscall_names_arm_eabi.inc"
};

constexpr NumberedName kArmOabi[] = {
#include "osmodels/linux/syscall_names_arm_oabi.inc"
};

constexpr NumberedName kArmPrivate[] = {
#include "osmodels/linux/syscall_names_arm_private.inc"
};

// Rows to an array indexed by number.
template <std::size_t N>
constexpr std::size_t largest(const NumberedName (&rows)[N]) {
  std::size_t most = 0;
  for (const NumberedName& row : rows) most = std::max<std::size_t>(most, row.number);
  return most;
}

template <std::size_t Size, std::size_t N>
constexpr std::array<std::string_view, Size> by_number(const NumberedName (&rows)[N]) {
  std::array<std::string_view, Size> names{};
  for (const NumberedName& row : rows) names[row.number] = row.name;
  return names;
}

constexpr auto kX86_64Names = by_number<largest(kX86_64) + 1>(kX86_64);
constexpr auto kX32Names = by_number<largest(kX32) + 1>(kX32);
constexpr auto kI386Names = by_number<largest(kI386) + 1>(kI386);
constexpr auto kAarch64Names = by_number<largest(kAarch64) + 1>(kAarch64);
constexpr auto kArmEabiNames = by_number<largest(kArmEabi) + 1>(kArmEabi);
constexpr auto kArmOabiNames = by_number<largest(kArmOabi) + 1>(kArmOabi);
constexpr auto kArmPrivateNames = by_number<largest(kArmPrivate) + 1>(kArmPrivate);

// [arch/x86/include/uapi/asm/unistd.h, __X32_SYSCALL_BIT]
constexpr NumberRange kX32Range[] = {{0x40000000, kX32Names}};

// [arch/arm/include/uapi/asm/unistd.h, __NR_OABI_SYSCALL_BASE and __ARM_NR_BASE]
constexpr NumberRange kArmRanges[] = {
    {0x0f0000, kArmPrivateNames, false},
    {0x900000, kArmOabiNames},
    {0x9f0000, kArmPrivateNames, false},
};

constexpr NumberRange kCompatArmRange[] = {{0x0f0000, kArmPrivateNames, false}};

constexpr SyscallAbi kAbis[] = {
    // SYSCALL overwrites rcx with the return address, hence r10.
    // [syscall(2), "Architecture calling conventions"]
    {SyscallEntry::Kind::kSyscall,
     "syscall",
     "rax",
     8,
     {{{"rdi"}, {"rsi"}, {"rdx"}, {"r10"}, {"r8"}, {"r9"}}},
     kX86_64Names,
     "rcx",
     {},
     kX32Range},
    {SyscallEntry::Kind::kInt80,
     "int80",
     "rax",
     4,
     {{{"rbx"}, {"rcx"}, {"rdx"}, {"rsi"}, {"rdi"}, {"rbp"}}},
     kI386Names},
    // The vDSO pushes ebp and copies esp to it: the sixth argument lies where ebp points.
    // [arch/x86/entry/entry_64_compat.S, entry_SYSENTER_compat]
    {SyscallEntry::Kind::kSysenter,
     "sysenter",
     "rax",
     4,
     {{{"rbx"}, {"rcx"}, {"rdx"}, {"rsi"}, {"rdi"}, {"rbp", true, 0}}},
     kI386Names},
    // SYSCALL from 32-bit code overwrites ecx; the vDSO has put it into ebp, and ebp on the stack.
    // [entry_SYSCALL_compat]
    {SyscallEntry::Kind::kCompatSyscall,
     "syscall",
     "rax",
     4,
     {{{"rbx"}, {"rbp"}, {"rdx"}, {"rsi"}, {"rdi"}, {"rsp", true, 0}}},
     kI386Names},
    // The C function that the vector calls for svc alone is given struct pt_regs, which begins with
    // x0 to x30; the caller's number is in x8. [arch/arm64/kernel/syscall.c, do_el0_svc;
    // syscall(2)]
    {SyscallEntry::Kind::kSvc,
     "svc",
     "x0",
     8,
     {{{"x0", true, 0},
       {"x0", true, 8},
       {"x0", true, 16},
       {"x0", true, 24},
       {"x0", true, 32},
       {"x0", true, 40}}},
     kAarch64Names,
     {},
     64},
    // Where the vector has saved them, and calls no C yet: struct pt_regs is on top of the stack.
    // [arch/arm64/kernel/entry.S of 3.7 to 4.18, kernel_entry and el0_svc]
    {SyscallEntry::Kind::kAssemblySvc,
     "svc",
     "sp",
     8,
     {{{"sp", true, 0},
       {"sp", true, 8},
       {"sp", true, 16},
       {"sp", true, 24},
       {"sp", true, 32},
       {"sp", true, 40}}},
     kAarch64Names,
     {},
     64},
    // As kSvc for 32-bit callers: r0 to r7 are the low halves of x0 to x7, and EABI alone is
    // known.
    // [arch/arm64/kernel/syscall.c, do_el0_svc_compat]
    {SyscallEntry::Kind::kCompatSvc,
     "svc",
     "x0",
     4,
     {{{"x0", true, 0},
       {"x0", true, 8},
       {"x0", true, 16},
       {"x0", true, 24},
       {"x0", true, 32},
       {"x0", true, 40}}},
     kArmEabiNames,
     {},
     56,
     kCompatArmRange},
    // EABI, in ARM and Thumb code alike. [syscall(2); arch/arm/kernel/entry-common.S, vector_swi]
    {SyscallEntry::Kind::kArmSvc,
     "svc",
     "r7",
     4,
     {{{"r0"}, {"r1"}, {"r2"}, {"r3"}, {"r4"}, {"r5"}}},
     kArmEabiNames,
     "lr",
     {},
     kArmRanges},
    // CONFIG_OABI_COMPAT, and kernels before EABI (2.6.16).
    {SyscallEntry::Kind::kArmOabiSvc,
     "svc",
     "r7",
     4,
     {{{"r0"}, {"r1"}, {"r2"}, {"r3"}, {"r4"}, {"r5"}}},
     kArmEabiNames,
     "lr",
     {},
     kArmRanges,
     true},
};

constexpr std::string_view kProcessClass[] = {"clone", "clone3",     "execve", "execveat",
                                              "exit",  "exit_group", "fork",   "vfork",
                                              "wait4", "waitid",     "waitpid"};

constexpr SyscallClass kClasses[] = {
    {"process", kProcessClass},
};

// A static program makes room for its first thread by brk [glibc, csu/libc-tls.c,
// __libc_setup_tls], or tells its address by set_tid_address [musl, src/env/__init_tls.c].
constexpr EffectRow kEffects[] = {
    {"brk", Effect::kSettles},
    {"set_tid_address", Effect::kSettles},
    {"mmap", Effect::kMaps},
    {"mmap2", Effect::kMaps},
    {"munmap", Effect::kUnmaps},
    {"mremap", Effect::kMaps},
    {"remap_file_pages", Effect::kMaps},
    {"execve", Effect::kExecs},
    {"execveat", Effect::kExecs},
    {"fork", Effect::kSpawns},
    {"vfork", Effect::kSpawns},
    {"clone", Effect::kSpawns},
    {"clone3", Effect::kSpawns},
    {"exit_group", Effect::kExits},
};

struct ReturnRow {
  std::string_view name;
  Return how;
};

constexpr ReturnRow kReturns[] = {
    {"fork", Return::kTwice},
    {"vfork", Return::kTwice},
    {"clone", Return::kTwice},
    {"clone3", Return::kTwice},
    {"execve", Return::kInNewImage},
    {"execveat", Return::kInNewImage},
    {"rt_sigreturn", Return::kElsewhere},
    {"sigreturn", Return::kElsewhere},
    {"exit", Return::kNever},
    {"exit_group", Return::kNever},
};

}  // namespace

std::span<const SyscallAbi> syscall_abis() { return kAbis; }

std::span<const EffectRow> syscall_effects() { return kEffects; }

std::string_view plain_name(std::string_view name) { return name.substr(0, name.find('#')); }

std::vector<std::string_view> syscall_names() {
  std::vector<std::string_view> names;
  for (const SyscallAbi& abi : kAbis) {
    const auto add = [&](std::span<const std::string_view> table) {
      for (const std::string_view name : table) {
        if (!name.empty()) names.push_back(plain_name(name));
      }
    };
    add(abi.names);
    for (const NumberRange& range : abi.more_names) add(range.names);
  }
  return names;
}

const SyscallClass* find_syscall_class(std::string_view name) {
  const auto* const row = std::ranges::find(kClasses, name, &SyscallClass::name);
  return row == std::end(kClasses) ? nullptr : row;
}

Return return_of(std::string_view name) {
  for (const ReturnRow& row : kReturns) {
    if (row.name == name) return row.how;
  }
  return Return::kOnce;
}

}  // namespace swat::os::linux_os
