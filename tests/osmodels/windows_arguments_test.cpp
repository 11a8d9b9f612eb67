// What arguments of Windows' system calls look like.
#include <gtest/gtest.h>

#include "memory_fakes.hpp"
#include "osmodels/windows/constants.hpp"
#include "osmodels/windows/syscall_arguments.hpp"

namespace swat::os::windows {
namespace {

using Words = std::vector<std::optional<std::uint64_t>>;

// The decoder's memory is the test's.
class Borrowed final : public VirtualMemory {
 public:
  explicit Borrowed(VirtualMemory& memory) : memory_(memory) {}
  Result<> read(Va at, std::span<std::byte> into) override { return memory_.read(at, into); }

 private:
  VirtualMemory& memory_;
};

class WindowsArguments : public testing::Test {
 protected:
  // "Name=text" of each.
  [[nodiscard]] static std::vector<std::string> lines(const std::vector<Argument>& arguments) {
    std::vector<std::string> lines;
    for (const Argument& argument : arguments) {
      lines.push_back(std::string(argument.parameter.name) + "=" + argument.text);
    }
    return lines;
  }
  [[nodiscard]] std::vector<std::string> at_entry(std::string_view call, const Words& words,
                                                  unsigned word_bytes = 8) {
    return lines(decoder.at_entry({caller, word_bytes, *decoder.prototype(call), words}));
  }
  [[nodiscard]] std::vector<std::string> at_return(std::string_view call, const Words& words,
                                                   std::uint64_t result) {
    return lines(decoder.at_return({caller, 8, *decoder.prototype(call), words}, result));
  }
  // UTF-16 as words.
  void put_unicode_string(std::uint64_t at, std::uint64_t text_at) {
    memory.store(at, 0x0008'0006);
    memory.store(at + 8, text_at);
    memory.store(text_at, 0x0000'0063'005c'0061);  // a\c
  }

  test::WordMemory memory;
  Process caller;
  SyscallArguments decoder{
      [this](const Process&) { return std::make_unique<Borrowed>(memory); },
      [](const Process&, std::uint64_t handle) { return handle == 0x44 ? "Event e" : ""; }};
};

using Lines = std::vector<std::string>;

TEST_F(WindowsArguments, HandlesSayWhatTheyStandFor) {
  EXPECT_EQ(at_entry("NtClose", {0x44}), Lines{"Handle=0x44<Event e>"});
  EXPECT_EQ(at_entry("NtClose", {0x48}), Lines{"Handle=0x48"});
  EXPECT_EQ(at_entry("NtClose", {0}), Lines{"Handle=NULL"});
  EXPECT_EQ(at_entry("NtClose", {~std::uint64_t{0}}), Lines{"Handle=NtCurrentProcess()"});
  EXPECT_EQ(at_entry("NtClose", {0xfffffffe}, 4), Lines{"Handle=NtCurrentThread()"});
  EXPECT_EQ(at_entry("NtClose", {std::nullopt}), Lines{"Handle="});
  EXPECT_EQ(at_entry("NtClose", {}), Lines{"Handle="});
}

TEST_F(WindowsArguments, StructuresAreShown) {
  memory.store(0x1000, 48);
  memory.store(0x1008, 0x44);
  memory.store(0x1010, 0x2000);
  memory.store(0x1018, 0x42);
  put_unicode_string(0x2000, 0x2100);
  EXPECT_EQ(at_entry("NtOpenKey", {0x3000, 0x20019, 0x1000}),
            (Lines{"KeyHandle=0x3000",
                   "DesiredAccess=READ_CONTROL|KEY_QUERY_VALUE|KEY_ENUMERATE_SUB_KEYS|KEY_NOTIFY",
                   "ObjectAttributes={RootDirectory=0x44<Event e>, ObjectName=\"a\\\\c\", "
                   "Attributes=OBJ_INHERIT|OBJ_CASE_INSENSITIVE}"}));
  EXPECT_EQ(at_entry("NtOpenKey", {0x3000, 0, 0x9000}).back(), "ObjectAttributes=0x9000");
}

TEST_F(WindowsArguments, AreNarrowedToTheirType) {
  EXPECT_EQ(at_entry("NtDelayExecution", {0xdead'0001, 0}),
            (Lines{"Alertable=TRUE", "DelayInterval=NULL"}));
  memory.store(0x1000, static_cast<std::uint64_t>(-50));
  EXPECT_EQ(at_entry("NtDelayExecution", {0, 0x1000}).back(), "DelayInterval=[-50]");
}

TEST_F(WindowsArguments, WhatTheKernelWritesComesWithTheReturn) {
  const Words words = {0x1000, 0x1f0003, 0, 1, 1};
  EXPECT_EQ(at_entry("NtCreateEvent", words).front(), "EventHandle=0x1000");
  EXPECT_EQ(at_entry("NtCreateEvent", words).at(3), "EventType=SynchronizationEvent");
  memory.store(0x1000, 0x44);
  EXPECT_EQ(at_return("NtCreateEvent", words, 0), Lines{"EventHandle=[0x44<Event e>]"});
  EXPECT_EQ(at_return("NtCreateEvent", words, 0xc0000022), Lines{"EventHandle=0x1000"});
}

TEST_F(WindowsArguments, OfABufferAsMuchAsWasReadIsShown) {
  memory.store(0x1000, 0);
  memory.store(0x1008, 2);           // Information
  memory.store(0x2000, 0x64636261);  // abcd
  const Words words = {0x44, 0, 0, 0, 0x1000, 0x2000, 4, 0, 0};
  EXPECT_EQ(at_return("NtReadFile", words, 0),
            (Lines{"IoStatusBlock={Status=STATUS_SUCCESS, Information=2}", "Buffer=\"ab\""}));
  EXPECT_EQ(at_return("NtReadFile", words, 0x103),
            (Lines{"IoStatusBlock=0x1000", "Buffer=0x2000"}));
  EXPECT_EQ(at_entry("NtWriteFile", words).at(5), "Buffer=\"abcd\"");
}

TEST_F(WindowsArguments, AHostileSizeIsBounded) {
  memory.store(0x2000, 0x64636261);
  const Words words = {0x44, 0, 0, 0, 0, 0x2000, 0xffffffff, 0, 0};
  EXPECT_EQ(at_entry("NtWriteFile", words).at(5),
            R"(Buffer="abcd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"...)");
}

TEST_F(WindowsArguments, NumbersHaveTheNamesOfTheirParameters) {
  const auto lines =
      at_entry("NtAllocateVirtualMemory", {~std::uint64_t{0}, 0x9000, 0, 0x9008, 0x3000, 0x40});
  EXPECT_EQ(lines.at(1), "BaseAddress=0x9000");  // not there
  EXPECT_EQ(lines.at(4), "AllocationType=MEM_COMMIT|MEM_RESERVE");
  EXPECT_EQ(lines.at(5), "PageProtection=PAGE_EXECUTE_READWRITE");
}

// On 32 bits a number of 64 takes two words, and what is behind it moves.
TEST_F(WindowsArguments, WideNumbersTakeTwoWordsOf32Bits) {
  const Prototype* const call = decoder.prototype("NtReadVirtualMemoryEx");
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(decoder.word_count(*call, 8), call->parameters.size());
  Prototype wide = *parse_prototype("NTSTATUS NtWide(in ULONGLONG A, in ULONG B)");
  EXPECT_EQ(decoder.word_count(wide, 4), 3u);
  EXPECT_EQ(decoder.word_count(wide, 8), 2u);
  const Words words = {1, 2, 3};
  EXPECT_EQ(lines(decoder.at_entry({caller, 4, wide, words})), (Lines{"A=8589934593", "B=3"}));
}

TEST_F(WindowsArguments, ResultsHaveNames) {
  EXPECT_EQ(decoder.result_name("NTSTATUS", 0xc0000022), "STATUS_ACCESS_DENIED");
  EXPECT_EQ(decoder.result_name("NTSTATUS", 0xc7654321), "");
  EXPECT_EQ(decoder.result_name("HWND", 0xc0000022), "");
  EXPECT_EQ(decoder.result_of("NTSTATUS", 0xffff'ffff'c000'0022), 0xc0000022u);
  EXPECT_EQ(decoder.result_of("HWND", 0x1'0000'0022), 0x1'0000'0022u);
}

TEST(WindowsConstants, AccessDependsOnWhatIsOpened) {
  EXPECT_EQ(name_access("NtOpenProcess", 0x1400),
            "PROCESS_QUERY_INFORMATION|PROCESS_QUERY_LIMITED_INFORMATION");
  EXPECT_EQ(name_access("NtOpenProcessToken", 8), "TOKEN_QUERY");
  EXPECT_EQ(name_access("NtOpenFile", 0x80100080), "SYNCHRONIZE|GENERIC_READ|FILE_READ_ATTRIBUTES");
  EXPECT_EQ(name_access("NtOpenJobObject", 4), "0x4");
  EXPECT_EQ(name_access("NtOpenFile", 0), "0");
}

}  // namespace
}  // namespace swat::os::windows
