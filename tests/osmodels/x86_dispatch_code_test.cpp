#include <gtest/gtest.h>

#include "osmodels/x86/dispatch_code.hpp"
#include "tests/osmodels/code_memory.hpp"

namespace swat::os::x86 {
namespace {

using test::CodeMemory;

// --- Tables

// do_syscall_64 of Debian's 5.10.0-32-amd64 without KASLR, read out of a running guest; the tables
// and the thunk are where that guest's kallsyms has them.
constexpr Va kDoSyscall64{0xffffffff81901020};
constexpr Va kSysCallTable{0xffffffff81e002e0};
constexpr Va kX32SysCallTable{0xffffffff81e02180};
constexpr Va kThunk{0xffffffff81c01c00};  // __x86_indirect_thunk_rax
constexpr std::string_view kCode =
    "55 48 89 f5 48 89 fe 48 89 ef e8 81 41 00 00 48 3d b8 01 00 00 77 29 48 3d b9 01 00 00 48 "
    "19 d2 48 21 d0 48 89 ef 48 8b 04 c5 e0 02 e0 81 e8 ad 0b 30 00 48 89 45 50 48 89 ef 5d e9 "
    "90 41 00 00 66 66 66 66 90 eb f0 a9 00 00 00 40 74 e9 48 25 ff ff ff bf 48 3d 23 02 00 00 "
    "77 db 48 3d 24 02 00 00 48 19 d2 48 21 d0 48 89 ef 48 8b 04 c5 80 21 e0 81 e8 68 0b 30 00 "
    "48 89 45 50 eb b9 66 90";
constexpr VaRange kFunction{kDoSyscall64, kDoSyscall64 + 128};

TEST(TableLoads, FindsThoseOfARealKernel) {
  CodeMemory kernel = CodeMemory::of_hex(kDoSyscall64, kCode);
  const auto loads = find_table_loads(kernel, kFunction, 64);
  ASSERT_EQ(loads.size(), 2u);
  EXPECT_EQ(loads[0].table, kSysCallTable);
  EXPECT_EQ(loads[0].next, Va{0xffffffff8190104e});  // as gdb disassembles it
  EXPECT_EQ(loads[0].target, "rax");
  EXPECT_EQ(loads[0].late, kThunk);
  EXPECT_EQ(loads[1].table, kX32SysCallTable);
}

std::vector<TableLoad> loads_of(std::vector<std::uint8_t> code) {
  const std::size_t size = code.size();
  CodeMemory kernel(kDoSyscall64, std::move(code));
  return find_table_loads(kernel, {kDoSyscall64, kDoSyscall64 + size}, 64);
}

// call *0xffffffff81e002e0(,%rax,8): until 4.14, in the entry itself.
TEST(TableLoads, FindsACallThroughTheTable) {
  const auto loads = loads_of({0x90, 0xff, 0x14, 0xc5, 0xe0, 0x02, 0xe0, 0x81});
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_EQ(loads[0].table, kSysCallTable);
  EXPECT_EQ(loads[0].target, "");
  EXPECT_EQ(loads[0].next, kDoSyscall64 + 8);
}

TEST(TableLoads, FindsOneBehindBytesThatAreNoCode) {
  EXPECT_EQ(loads_of({0x06, 0x06, 0xff, 0x14, 0xc5, 0xe0, 0x02, 0xe0, 0x81}).size(), 1u);
}

// Of i386, as QEMU disassembles them in running guests: the entries of 2.4.27 (c0108579) and 2.6.20
// (c0102ac2).
TEST(TableLoads, FindsThoseOf32BitEntriesAndHowManyWordsTheirTablesHave) {
  constexpr Va kOld{0xc0108579};
  CodeMemory old = CodeMemory::of_hex(
      kOld, "3d 0e 01 00 00 0f 83 81 00 00 00 ff 14 85 d0 20 27 c0 89 44 24 18 90 fa");
  const auto loads = find_table_loads(old, {kOld, kOld + 24}, 32);
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_EQ(loads[0].table, Va{0xc02720d0});
  EXPECT_EQ(loads[0].next, Va{0xc010858b});
  EXPECT_EQ(loads[0].target, "");
  EXPECT_EQ(loads[0].limit, 0x10eu);
  constexpr Va kNewer{0xc0102ac2};
  CodeMemory newer = CodeMemory::of_hex(
      kNewer, "3d 40 01 00 00 0f 83 bf 01 00 00 ff 14 85 e0 e4 23 c0 89 44 24 18 fa");
  const auto others = find_table_loads(newer, {kNewer, kNewer + 23}, 32);
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].table, Va{0xc023e4e0});
  EXPECT_EQ(others[0].limit, 0x140u);
}

// mov 0xc1561200(,%eax,4),%eax; call 0xc148f000: C code with a thunk for indirect calls.
TEST(TableLoads, FindsAMoveOf32Bits) {
  constexpr Va kAt{0xc1486190};
  CodeMemory code = CodeMemory::of_hex(kAt, "8b 04 85 00 12 56 c1 e8 64 8e 00 00");
  const auto loads = find_table_loads(code, {kAt, kAt + 12}, 32);
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_EQ(loads[0].table, Va{0xc1561200});
  EXPECT_EQ(loads[0].target, "rax");
  EXPECT_EQ(loads[0].late, Va{0xc148f000});
  EXPECT_FALSE(loads[0].limit);
}

// `ja` lets the constant itself pass; a comparison far before the load says nothing of it.
TEST(TableLoads, KnowTheLimitOfAComparisonThatIsNear) {
  constexpr Va kAt{0xc0100000};
  CodeMemory near = CodeMemory::of_hex(kAt, "3d 40 01 00 00 77 f9 ff 14 85 e0 e4 23 c0");
  EXPECT_EQ(find_table_loads(near, {kAt, kAt + 14}, 32).at(0).limit, 0x141u);
  CodeMemory far = CodeMemory::of_hex(
      kAt, "3d 40 01 00 00 77 f9 90 90 90 90 90 90 90 90 90 90 90 90 ff 14 85 e0 e4 23 c0");
  EXPECT_FALSE(find_table_loads(far, {kAt, kAt + 26}, 32).at(0).limit);
}

// An indirect call behind the load: where it leads is the word itself.
TEST(TableLoads, KnowNoLatePlaceBehindAnIndirectCall) {
  const auto loads = loads_of({0x48, 0x8b, 0x04, 0xc5, 0xe0, 0x02, 0xe0, 0x81, 0xff, 0xd0});
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_TRUE(loads[0].late.is_null());
}

TEST(TableLoads, TakesNoOtherAccess) {
  EXPECT_TRUE(loads_of({0x48, 0x89, 0x04, 0xc5, 0, 0, 0, 0x81}).empty());        // a store
  EXPECT_TRUE(loads_of({0x8b, 0x04, 0xc5, 0, 0, 0, 0x81}).empty());              // half a word
  EXPECT_TRUE(loads_of({0x48, 0x8b, 0x04, 0x85, 0, 0, 0, 0x81}).empty());        // words of 4 bytes
  EXPECT_TRUE(loads_of({0x48, 0x8b, 0x44, 0xc3, 0x10}).empty());                 // from a register
  EXPECT_TRUE(loads_of({0x65, 0x48, 0x8b, 0x04, 0xc5, 0, 0, 0, 0x81}).empty());  // per CPU
}

TEST(TableLoads, FindsNothingWhereNothingCanBeRead) {
  CodeMemory kernel(Va{0x1000}, {0x90});
  EXPECT_TRUE(find_table_loads(kernel, kFunction, 64).empty());
}

// --- Comparisons

// switch (nr) { case 0: return h0(regs); ... default: return ni(regs); }, the cases being 0, 1, 2,
// 5, 59, 231, 334 and 435, built with -O2 -fno-jump-tables and linked at kTree; case n leads to
// kHandlers + 16 n, the default to kDefault.
constexpr Va kTree{0xffffffff81000000};
constexpr Va kHandlers{0xffffffff82000000};
constexpr Va kDefault{0xffffffff81f00000};
constexpr unsigned kCases[] = {0, 1, 2, 5, 59, 231, 334, 435};

struct Compiled {
  const char* compiler;
  std::string_view code;
};

constexpr Compiled kCompiled[] = {
    {"gcc12",
     "f3 0f 1e fa 83 fe 3b 74 67 77 15 83 fe 02 74 68 76 36 83 fe 05 75 49 e9 34 00 00 01 0f 1f "
     "40 00 81 fe 4e 01 00 00 74 40 81 fe b3 01 00 00 75 05 e9 fb 1a 00 01 81 fe e7 00 00 00 75 "
     "23 e9 2e 0e 00 01 66 0f 1f 44 00 00 85 f6 74 0c e9 bf ff ff 00 0f 1f 80 00 00 00 00 e9 a3 "
     "ff ff 00 0f 1f 00 e9 9b ff ef 00 0f 1f 00 e9 73 14 00 01 0f 1f 00 e9 3b 03 00 01 0f 1f 00 "
     "e9 a3 ff ff 00"},
    {"clang16",
     "f3 0f 1e fa 83 fe 3a 7f 13 83 fe 01 7f 28 85 f6 74 48 83 fe 01 75 57 e9 f4 ff ff 00 81 fe "
     "4d 01 00 00 7f 21 83 fe 3b 74 36 81 fe e7 00 00 00 75 3d e9 3a 0e 00 01 83 fe 02 74 29 83 "
     "fe 05 75 2e e9 0b 00 00 01 81 fe 4e 01 00 00 74 1c 81 fe b3 01 00 00 75 19 e9 d6 1a 00 01 "
     "e9 a1 ff ff 00 e9 4c 03 00 01 e9 b7 ff ff 00 e9 72 14 00 01 e9 8d ff ef 00"},
};

class CompiledTree : public testing::TestWithParam<Compiled> {};
INSTANTIATE_TEST_SUITE_P(CompareTree, CompiledTree, testing::ValuesIn(kCompiled),
                         [](const auto& row) { return std::string(row.param.compiler); });

TEST_P(CompiledTree, LeadsEachCaseToItsHandler) {
  const std::size_t size = (GetParam().code.size() + 1) / 3;
  CodeMemory kernel = CodeMemory::of_hex(kTree, GetParam().code);
  const auto tree = CompareTree::read(kernel, {kTree, kTree + size}, 64);
  ASSERT_TRUE(tree) << tree.error().what;
  for (std::uint32_t number = 0; number < 600; ++number) {
    const bool is_case = std::ranges::find(kCases, number) != std::end(kCases);
    const auto handler = tree->leads_to(number);
    ASSERT_TRUE(handler) << number << ": " << handler.error().what;
    EXPECT_EQ(*handler, is_case ? kHandlers + 16 * number : kDefault) << number;
  }
}

Result<Va> led(std::vector<std::uint8_t> code, std::uint32_t number) {
  const std::size_t size = code.size();
  CodeMemory kernel(kTree, std::move(code));
  return SWAT_TRY(CompareTree::read(kernel, {kTree, kTree + size}, 64)).leads_to(number);
}

// A tracer's hook is called first; a case may be called too, and then comes a return.
TEST(CompareTree, PassesACallBeforeTheFirstComparison) {
  const std::vector<std::uint8_t> code = {0xe8, 0, 0, 0, 0x01, 0x83, 0xfe, 0x03, 0x75, 0x06, 0xe8,
                                          0xf1, 0, 0, 0, 0xc3, 0xe9, 0,    1,    0,    0};
  EXPECT_EQ(led(code, 3), kTree + 0x100);
  EXPECT_EQ(led(code, 4), kTree + 0x115);
}

TEST(CompareTree, DoesNotGuessAtOtherCode) {
  // mov (%rax),%esi; a branch before any comparison; ret
  for (const std::vector<std::uint8_t>& code : std::vector<std::vector<std::uint8_t>>{
           {0x8b, 0x30, 0x83, 0xfe, 0x03}, {0x74, 0x00, 0x90}, {0xc3}}) {
    EXPECT_EQ(led(code, 3).error().code, Errc::kUnsupported) << int{code.front()};
  }
}

TEST(CompareTree, LeavesAnEndlessLoop) {
  EXPECT_EQ(led({0xeb, 0xfe}, 3).error().code, Errc::kUnsupported);
}

TEST(CompareTree, SaysWhenTheCodeIsAbsent) {
  CodeMemory kernel(Va{0x1000}, {0x90});
  EXPECT_EQ(CompareTree::read(kernel, {kTree, kTree + 16}, 64).error().code, Errc::kFault);
}

}  // namespace
}  // namespace swat::os::x86
