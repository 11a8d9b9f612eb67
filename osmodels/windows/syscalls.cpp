#include "osmodels/windows/syscalls.hpp"

#include <algorithm>
#include <cctype>

namespace swat::os::windows {
namespace {

using Kind = SyscallEntry::Kind;

constexpr SyscallAbi kAbis[] = {
    // SYSCALL overwrites rcx, so the stub has copied it to r10. Above its return address the caller
    // has left 32 bytes for the arguments in registers. [x64 calling convention, "Stack
    // allocation"]
    {.entry = Kind::kNtSyscall,
     .mnemonic = "syscall",
     .number = "rax",
     .word = 8,
     .args = {{{"r10"}, {"rdx"}, {"r8"}, {"r9"}, {"rsp", true, 0x28}, {"rsp", true, 0x30}}},
     .names = {},
     .has_stack_arguments = true},
    // KiFastSystemCall, which the stub calls, copies esp to edx: above it lie the return addresses
    // into the stub and to the stub's caller.
    {.entry = Kind::kNtSysenter,
     .mnemonic = "sysenter",
     .number = "rax",
     .word = 4,
     .args = {{{"rdx", true, 8},
               {"rdx", true, 12},
               {"rdx", true, 16},
               {"rdx", true, 20},
               {"rdx", true, 24},
               {"rdx", true, 28}}},
     .names = {},
     .has_stack_arguments = true},
    // Stubs of 5.0, and KiIntSystemCall, let edx point to the arguments themselves.
    {.entry = Kind::kInt2e,
     .mnemonic = "int2e",
     .number = "rax",
     .word = 4,
     .args = {{{"rdx", true, 0},
               {"rdx", true, 4},
               {"rdx", true, 8},
               {"rdx", true, 12},
               {"rdx", true, 16},
               {"rdx", true, 20}}},
     .names = {},
     .has_stack_arguments = true},
};

// What a loader does, and who makes processes. Ends are not listed: NtTerminateProcess may mean
// another process, or the caller's other threads.
constexpr EffectRow kEffects[] = {
    {"NtMapViewOfSection", Effect::kMaps},    {"NtMapViewOfSectionEx", Effect::kMaps},
    {"NtUnmapViewOfSection", Effect::kMaps},  {"NtUnmapViewOfSectionEx", Effect::kMaps},
    {"NtCreateProcess", Effect::kSpawns},     {"NtCreateProcessEx", Effect::kSpawns},
    {"NtCreateUserProcess", Effect::kSpawns},
};

}  // namespace

std::span<const SyscallAbi> syscall_abis() { return kAbis; }

std::span<const EffectRow> syscall_effects() { return kEffects; }

bool may_be_service(std::string_view name) {
  constexpr std::string_view kPrefix = "Nt";
  const auto is = [](int (*kind)(int), char c) { return kind(static_cast<unsigned char>(c)) != 0; };
  return name.size() > kPrefix.size() && name.starts_with(kPrefix) &&
         is(std::isupper, name[kPrefix.size()]) &&
         std::ranges::all_of(name, [&](char c) { return is(std::isalnum, c); });
}

}  // namespace swat::os::windows
