#include "osmodels/windows/syscalls.hpp"

#include <algorithm>
#include <cctype>

namespace swat::os::windows {
namespace {

using Kind = SyscallEntry::Kind;

// Six of 4 bytes, one behind the other.
constexpr std::array<ArgAt, 6> words_at(std::string_view reg, std::int16_t first) {
  std::array<ArgAt, 6> words;
  for (ArgAt& word : words) {
    word = {reg, true, first};
    first = static_cast<std::int16_t>(first + 4);
  }
  return words;
}

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
     .has_stack_arguments = true,
     .more_args = ArgAt{"rsp", true, 0x38},
     .return_slot = ArgAt{"rsp", true}},
    // KiFastSystemCall, which the stub calls, copies esp to edx: above it lie the return addresses
    // into the stub and to the stub's caller.
    {.entry = Kind::kNtSysenter,
     .mnemonic = "sysenter",
     .number = "rax",
     .word = 4,
     .args = words_at("rdx", 8),
     .names = {},
     .has_stack_arguments = true,
     .more_args = ArgAt{"rdx", true, 32},
     .return_slot = ArgAt{"rdx", true}},
    // Stubs of 5.0, and KiIntSystemCall, let edx point to the arguments themselves: before them
    // lies the return address to the stub's caller.
    {.entry = Kind::kInt2e,
     .mnemonic = "int2e",
     .number = "rax",
     .word = 4,
     .args = words_at("rdx", 0),
     .names = {},
     .has_stack_arguments = true,
     .more_args = ArgAt{"rdx", true, 24},
     .return_slot = ArgAt{"rdx", true, -4}},
};

// What a loader does, who makes processes, and who does not come back. Through another handle than
// the caller's own NtTerminateProcess may end any process, and with none the caller's other
// threads.
constexpr EffectRow kEffects[] = {
    {"NtMapViewOfSection", Effect::kMaps},
    {"NtMapViewOfSectionEx", Effect::kMaps},
    {"NtUnmapViewOfSection", Effect::kMaps},
    {"NtUnmapViewOfSectionEx", Effect::kMaps},
    {"NtCreateProcess", Effect::kSpawns},
    {"NtCreateProcessEx", Effect::kSpawns},
    {"NtCreateUserProcess", Effect::kSpawns},
    {"NtTerminateProcess", Effect::kExits, -1},
    {"NtTerminateThread", Effect::kLeaves, -2},
    {"NtCallbackReturn", Effect::kLeaves},
    {"NtContinue", Effect::kLeaves},
    {"NtContinueEx", Effect::kLeaves},
    {"NtRaiseException", Effect::kLeaves},
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
