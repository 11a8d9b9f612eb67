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

constexpr NumberedName kI386[] = {
#include "osmodels/linux/syscall_names_i386.inc"
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
constexpr auto kI386Names = by_number<largest(kI386) + 1>(kI386);

constexpr SyscallAbi kAbis[] = {
    // SYSCALL overwrites rcx with the return address, hence r10.
    // [syscall(2), "Architecture calling conventions"]
    {SyscallEntry::Kind::kSyscall,
     "syscall",
     "rax",
     8,
     {{{"rdi"}, {"rsi"}, {"rdx"}, {"r10"}, {"r8"}, {"r9"}}},
     kX86_64Names,
     "rcx"},
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
};

constexpr std::string_view kProcessClass[] = {"clone", "clone3",     "execve", "execveat",
                                              "exit",  "exit_group", "fork",   "vfork",
                                              "wait4", "waitid",     "waitpid"};

constexpr SyscallClass kClasses[] = {
    {"process", kProcessClass},
};

struct EffectRow {
  std::string_view name;
  Effect effect;
};

constexpr EffectRow kEffects[] = {
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

const SyscallAbi* find_abi(SyscallEntry::Kind entry) {
  const auto* const abi = std::find_if(std::begin(kAbis), std::end(kAbis),
                                       [&](const SyscallAbi& row) { return row.entry == entry; });
  return abi == std::end(kAbis) ? nullptr : abi;
}

std::string_view syscall_name(const SyscallAbi& abi, std::uint64_t number) {
  constexpr std::uint64_t kX32Bit = 0x40000000;  // [asm/unistd.h, __X32_SYSCALL_BIT]
  if (abi.word == 8) number &= ~kX32Bit;
  return number < abi.names.size() ? abi.names[number] : std::string_view{};
}

std::vector<std::string_view> syscall_names() {
  std::vector<std::string_view> names;
  for (const SyscallAbi& abi : kAbis) {
    std::copy_if(abi.names.begin(), abi.names.end(), std::back_inserter(names),
                 [](std::string_view name) { return !name.empty(); });
  }
  return names;
}

const SyscallClass* find_syscall_class(std::string_view name) {
  const auto* const row = std::ranges::find(kClasses, name, &SyscallClass::name);
  return row == std::end(kClasses) ? nullptr : row;
}

Effect effect_of(std::string_view name) {
  for (const EffectRow& row : kEffects) {
    if (row.name == name) return row.effect;
  }
  return Effect::kNone;
}

Return return_of(std::string_view name) {
  for (const ReturnRow& row : kReturns) {
    if (row.name == name) return row.how;
  }
  return Return::kOnce;
}

}  // namespace swat::os::linux_os
