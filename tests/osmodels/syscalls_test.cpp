// Against the kernel headers of the machine that the tests are built on.
#include "osmodels/linux/syscalls.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace swat::os::linux_os {
namespace {

// "#define __NR_read 0" lines of the header that a program gets for <asm/NAME>.
std::map<std::uint64_t, std::string> header_rows(const std::string& name) {
  std::ifstream header;
  for (const char* folder : {"/usr/include/x86_64-linux-gnu/asm/", "/usr/include/asm/"}) {
    if (!header.is_open() || !header) header = std::ifstream(folder + name);
  }
  std::map<std::uint64_t, std::string> rows;
  std::string line;
  while (std::getline(header, line)) {
    std::istringstream fields(line);
    std::string define, macro;
    std::uint64_t number = 0;
    if (!(fields >> define >> macro >> number) || define != "#define") continue;
    if (macro.starts_with("__NR_")) rows[number] = macro.substr(5);
  }
  return rows;
}

void expect_names_of(const std::string& header, SyscallEntry::Kind kind) {
  const auto rows = header_rows(header);
  if (rows.empty()) GTEST_SKIP() << "no <asm/" << header << "> here";
  const SyscallAbi* abi = find_abi(kind);
  ASSERT_NE(abi, nullptr);
  for (const auto& [number, name] : rows) EXPECT_EQ(syscall_name(*abi, number), name) << number;
}

TEST(Syscalls, NamesAllThatTheX86_64HeaderDoes) {
  expect_names_of("unistd_64.h", SyscallEntry::Kind::kSyscall);
}

TEST(Syscalls, NamesAllThatTheI386HeaderDoes) {
  expect_names_of("unistd_32.h", SyscallEntry::Kind::kInt80);
}

TEST(Syscalls, NamesTheSameByEveryWayInFrom32BitCode) {
  const SyscallAbi* int80 = find_abi(SyscallEntry::Kind::kInt80);
  for (const auto kind : {SyscallEntry::Kind::kSysenter, SyscallEntry::Kind::kCompatSyscall}) {
    const SyscallAbi* abi = find_abi(kind);
    ASSERT_NE(abi, nullptr);
    for (std::uint64_t number = 0; number < 500; ++number) {
      EXPECT_EQ(syscall_name(*abi, number), syscall_name(*int80, number));
    }
  }
}

// As strace 6.1 names them (of a program that makes each call, on a kernel without x32).
TEST(Syscalls, NamesX32CallsAsStraceDoes) {
  constexpr std::uint64_t kX32Bit = 0x40000000;  // [asm/unistd.h, __X32_SYSCALL_BIT]
  const SyscallAbi& abi = *find_abi(SyscallEntry::Kind::kSyscall);
  const std::map<std::uint64_t, std::string_view> rows = {{1, "write"},
                                                          {13, "rt_sigaction#64"},
                                                          {39, "getpid"},
                                                          {59, "execve#64"},
                                                          {322, "execveat#64"},
                                                          {512, "rt_sigaction"},
                                                          {520, "execve"},
                                                          {545, "execveat"},
                                                          {547, "pwritev2"},
                                                          {548, ""},
                                                          {340, ""},
                                                          {435, "clone3"}};
  for (const auto& [number, name] : rows) {
    EXPECT_EQ(syscall_name(abi, kX32Bit | number), name) << number;
  }
  EXPECT_EQ(syscall_name(abi, 520), "");
  EXPECT_EQ(plain_name("execve#64"), "execve");
  EXPECT_EQ(plain_name("execve"), "execve");
}

TEST(Syscalls, HasNoNameForWhatNoTableHolds) {
  for (const auto kind : {SyscallEntry::Kind::kSyscall, SyscallEntry::Kind::kInt80}) {
    for (const std::uint64_t number :
         {std::uint64_t{100000}, std::uint64_t{0xffffffff}, ~std::uint64_t{0}}) {
      EXPECT_EQ(syscall_name(*find_abi(kind), number), "") << number;
    }
  }
}

TEST(Syscalls, HasNoAbiForAnythingElse) {
  EXPECT_EQ(find_abi(static_cast<SyscallEntry::Kind>(99)), nullptr);
}

// [syscall(2), "Architecture calling conventions"]
TEST(Syscalls, TakesArgumentsFromTheRegistersOfTheManual) {
  const SyscallAbi* abi = find_abi(SyscallEntry::Kind::kSyscall);
  const char* expected[] = {"rdi", "rsi", "rdx", "r10", "r8", "r9"};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(abi->args[i].reg, expected[i]);
  const SyscallAbi* int80 = find_abi(SyscallEntry::Kind::kInt80);
  const char* expected32[] = {"rbx", "rcx", "rdx", "rsi", "rdi", "rbp"};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(int80->args[i].reg, expected32[i]);
}

TEST(Syscalls, KnowsWhichCallsChangeWhatIsMapped) {
  for (const char* name : {"mmap", "mmap2", "mremap", "remap_file_pages"}) {
    EXPECT_EQ(effect_of(name), Effect::kMaps) << name;
  }
  EXPECT_EQ(effect_of("munmap"), Effect::kUnmaps);
  for (const char* name : {"execve", "execveat"})
    EXPECT_EQ(effect_of(name), Effect::kExecs) << name;
  for (const char* name : {"fork", "vfork", "clone", "clone3"})
    EXPECT_EQ(effect_of(name), Effect::kSpawns) << name;
  EXPECT_EQ(effect_of("exit_group"), Effect::kExits);
  for (const char* name : {"brk", "set_tid_address"}) {
    EXPECT_EQ(effect_of(name), Effect::kSettles) << name;
    EXPECT_FALSE(may_move_mappings(effect_of(name))) << name;
  }
  for (const char* name : {"read", "exit", ""}) {
    EXPECT_EQ(effect_of(name), Effect::kNone) << name;
  }
}

}  // namespace
}  // namespace swat::os::linux_os
